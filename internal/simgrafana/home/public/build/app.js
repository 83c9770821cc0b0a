document.title = "Grafana (stand-in) answers";
