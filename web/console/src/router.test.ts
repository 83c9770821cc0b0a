import { expect, test } from "vitest";
import { isPage } from "./router";

test.each(["/", "/d/stackscope-fleet", "/d/x/slug", "/dashboards", "/doctor", "/models", "/models/3", "/instances", "/workers/1", "/gpus", "/mapping"])("%s is a page of the console", (path) => expect(isPage(path)).toBe(true));
test.each(["/prometheus/", "/grafana/d/x", "/v2/models", "/metrics", "/mapping/x", "/dashboards/x", "/doctor/x", "/v2/doctor", "/modelsx", "/d", "/console/settings"])("%s is the server's", (path) => expect(isPage(path)).toBe(false));
