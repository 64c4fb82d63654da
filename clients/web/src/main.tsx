import { render } from "preact";
import { App } from "./app";
import { Page } from "./ui/Page";
import "./ui/style.css";

const root = document.getElementById("app");
if (root) {
  const app = new App();
  app.launch();
  render(<Page app={app} />, root);
}
