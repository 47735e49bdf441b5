#!/usr/bin/python3
"""The benchmark: every row of the goals as a ratio inside one run, the sides interleaved, medians of the rounds.

    bench.py BUILD [--only ROW,ROW] [--rounds 5] [--seconds 1] [--long] [--json FILE]

Prints a table and writes BUILD/bench.json. Names of rows: --list."""
import argparse
import json
import os
import platform
import sys
import time

import rows
import world as w


def arguments():
    p = argparse.ArgumentParser()
    p.add_argument("build")
    p.add_argument("--only", default="")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=1.0, help="of one measurement")
    p.add_argument("--records", type=int, default=1000000, help="opportunities of the large base")
    p.add_argument("--long", action="store_true", help="growth up to 10,000,000")
    p.add_argument("--json")
    p.add_argument("--list", action="store_true")
    return p.parse_args()


def shown(value):
    if value is None:
        return "–"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.1f}"


HEAD = f"{'row':<46}{'perigee':>12}{'limit':>12} {'unit':<10}{'ratio':>7}{'±%':>5}  {'goal':<22}{'CPU µs':>8}  "


def line(r):
    ratio = "–" if r.ratio is None else f"{r.ratio:.2f}"
    verdict = "" if r.met is None else "met" if r.met else "NOT MET"
    return (f"{r.title:<46}{shown(r.value):>12}{shown(r.limit):>12} {r.unit:<10}{ratio:>7}{r.spread:>5.0f}  {r.goal:<22}"
            f"{shown(r.cpu_us):>8}  {verdict}{'  ' + r.note if r.note else ''}")


def main():
    a = arguments()
    if a.list:
        print("\n".join(rows.names(True)))
        return 0
    only = [n for n in a.only.split(",") if n]
    unknown = set(only) - set(rows.names(True))
    if unknown:
        print(f"bench: no such rows: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    w.allow_many_files()
    world = w.World(a.build, a.seconds)
    begin, results, failed = time.monotonic(), [], 0
    print(f"{os.cpu_count()} cores, {platform.system()} {platform.release()}; {a.rounds} rounds of {a.seconds:g} s, interleaved; medians\n")
    print(HEAD, flush=True)
    try:
        for row in rows.chosen(only, a.long):
            try:
                got = row(world, a)
            except Exception as e:  # a row that fails must not hide the others
                failed += 1
                print(f"{row.__name__:<46}FAILED: {e}", flush=True)
                continue
            for r in got:
                results.append(r)
                print(line(r), flush=True)
    finally:
        world.close()
    print(f"\n{time.monotonic() - begin:.0f} s in all; load average {os.getloadavg()[0]:.1f}")
    with open(a.json or f"{a.build}/bench.json", "w", encoding="utf-8") as f:
        json.dump({"cores": os.cpu_count(), "rounds": a.rounds, "seconds": a.seconds, "rows": [r.__dict__ for r in results]}, f, indent=1,
                  ensure_ascii=False)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
