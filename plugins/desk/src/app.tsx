// app.tsx: which page: by session first, then by the address.
import { place } from "./router";
import { sessionState, loadSession } from "./session";
import { Failed, Skeleton } from "./ui/states";
import { Toasts } from "./ui/toast";
import { SignIn } from "./pages/signin";
import { Shell } from "./shell";
import { pageFor } from "./pages";

export function App() {
  const state = sessionState.value;
  if (state === "loading") return <Skeleton />;
  if (state === "broken") return <Failed error={null} again={() => void loadSession()} />;
  if (state === "out") return <SignIn />;
  return (
    <>
      <Shell>{pageFor(place.value)}</Shell>
      <Toasts />
    </>
  );
}
