// signin.tsx: login and password; what is wrong is said beside the form and read out.
import { useState } from "preact/hooks";
import { Problem } from "../api";
import { lang, setLang, t } from "../i18n";
import { signIn } from "../session";
import { Logo } from "../shell";

export function SignIn() {
  const [busy, setBusy] = useState(false);
  const [wrong, setWrong] = useState("");
  const submit = async (e: SubmitEvent): Promise<void> => {
    e.preventDefault();
    const data = new FormData(e.currentTarget as HTMLFormElement);
    setBusy(true);
    setWrong("");
    try {
      await signIn(String(data.get("login") ?? ""), String(data.get("password") ?? ""));
    } catch (error) {
      setWrong(error instanceof Problem ? error.message : t("broken"));
      setBusy(false);
    }
  };
  return (
    <main class="sign-in">
      <form class="panel" onSubmit={(e) => void submit(e)}>
        <div class="brand"><Logo /> {t("app")}</div>
        <div>
          <h1>{t("sign_in")}</h1>
          <p class="muted">{t("sign_in_lead")}</p>
        </div>
        {wrong && <p class="notice bad" role="alert">{wrong}</p>}
        <div class="field">
          <label class="field-label" for="login">{t("login")}</label>
          <input class="input" id="login" name="login" autocomplete="username" autocapitalize="none" required autofocus />
        </div>
        <div class="field">
          <label class="field-label" for="password">{t("password")}</label>
          <input class="input" id="password" name="password" type="password" autocomplete="current-password" required />
        </div>
        <button class="button primary" type="submit" disabled={busy}>{busy ? t("signing_in") : t("sign_in")}</button>
        <button class="button quiet" type="button" lang={lang.value === "ru" ? "en" : "ru"} onClick={() => setLang(lang.value === "ru" ? "en" : "ru")}>
          {lang.value === "ru" ? "English" : "Русский"}
        </button>
      </form>
    </main>
  );
}
