// main.tsx: the desk begins: who is signed in, then the shell or the sign-in page.
import { render } from "preact";
import { App } from "./app";
import { loadSession } from "./session";
import { followTheme } from "./theme";

followTheme();
const root = document.getElementById("app");
if (root) render(<App />, root);
void loadSession();
