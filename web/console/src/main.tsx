import "./look/tokens.css";
import "./look/base.css";
import { render } from "preact";
import { App } from "./app";
import { followLinks } from "./router";
import { loadLanguage } from "./texts/language";

followLinks();
const draw = () => render(<App />, document.getElementById("console")!);
void loadLanguage().then(draw, draw);
