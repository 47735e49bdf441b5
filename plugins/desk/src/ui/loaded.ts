// loaded.ts: something that is fetched: loading, there, or failed; fetched anew when its key changes, and then the old one stays until
// the new one is there, so that nothing flickers.
import { useCallback, useEffect, useState } from "preact/hooks";

export interface Loaded<T> {
  data: T | undefined;
  error: unknown;
  loading: boolean;
  again: () => void;
  set: (data: T) => void;
}

export function useLoaded<T>(key: string, load: (signal: AbortSignal) => Promise<T>): Loaded<T> {
  const [state, setState] = useState<{ data?: T; error?: unknown; loading: boolean }>({ loading: true });
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    const stop = new AbortController();
    setState((s) => ({ data: s.data, loading: true }));
    load(stop.signal).then(
      (data) => { if (!stop.signal.aborted) setState({ data, loading: false }); },
      (error: unknown) => { if (!stop.signal.aborted) setState({ error, loading: false }); },
    );
    return () => stop.abort();
  }, [key, turn]);
  const again = useCallback(() => setTurn((n) => n + 1), []);
  const set = useCallback((data: T) => setState({ data, loading: false }), []);
  return { data: state.data, error: state.error, loading: state.loading, again, set };
}
