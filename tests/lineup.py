#!/usr/bin/env python3
"""Lines up the kernel's own tcp_sock, as the corpus recorded it, with the port's, and names the first field that parts.

    python tests/lineup.py CORPUS/loss-mid client [-n RECORDS] [--all] [--fields a,b]

For each trace point that both have (k-th tcp_probe with k-th tcp_probe, per connection) all recorded fields are
compared.
"""
import argparse
import contextlib
import importlib.util
import json
import sys
from pathlib import Path

from kpath import replay

# Moments in us or ns of CLOCK_MONOTONIC: the capture's stamps differ from the stack's by some us, so these do too.
TIMES_US = {"tcp_mstamp", "first_tx_mstamp", "delivered_mstamp", "rcvq_space.time", "rcv_rtt_est.time", "rack.mstamp"}
TIMES_NS = {"tcp_wstamp_ns", "tcp_clock_cache"}
JIFFIES = {"rcv_tstamp", "lsndtime", "snd_cwnd_stamp", "icsk_ack.lrcvtime", "icsk_retransmit_timer.expires",
           "icsk_delack_timer.expires", "rtt_min.s[0].t", "chrono_stat[0]", "chrono_stat[1]", "chrono_stat[2]",
           "icsk_probes_tstamp", "last_oow_ack_time", "rto_stamp", "retrans_stamp", "icsk_rto", "rx_opt.rcv_tsecr"}
RTT = {"srtt_us", "mdev_us", "rttvar_us", "mdev_max_us", "rtt_min.s[0].v", "rack.rtt_us", "rcv_rtt_est.rtt_us",
       "rate_interval_us", "sk_pacing_rate", "cubic.curr_rtt", "cubic.delay_min"}
IGNORE = {"sk_lock.owned", "sk_lock", "icsk_ack.lrcv_flowlabel", "sk_state", "segs_in", "bytes_received", "segs_out",
          "bytes_sent", "data_segs_in", "data_segs_out", "bytes_acked", "pred_flags", "rate_delivered",
          "sk_backlog.len"}
POINTS = ("tcp_probe", "tcp_sendmsg_locked")


def corpus_states(path):
    """[(ns, point, sport, dport, {field: value})] of one state file."""
    full, ports, out = {}, {}, []
    for line in path.read_text().splitlines():
        r = json.loads(line)
        if "at" not in r:
            continue
        state = full.setdefault(r["sk"], {})
        if "sport" in r:
            ports[r["sk"]] = (r["sport"], r["dport"])
        if r.get("first"):
            state.clear()
        for k, v in r["d"].items():
            if v is None:
                state.pop(k, None)
            else:
                state[k] = v
        out.append((r["t"], r["at"], *ports.get(r["sk"], (0, 0)), dict(state), set(r["d"])))
    return out


def differs(name, a, b):
    if name in TIMES_US:
        return abs(a - b) > 500
    if name in TIMES_NS:
        return abs(a - b) > 500_000
    if name in JIFFIES:
        return abs(a - b) > 1
    if name in RTT:
        return abs(a - b) > max(1600, 0.05 * abs(a))
    return a != b


def replay_states(folder, side):
    spec = importlib.util.spec_from_file_location("score", folder.parent.parent / "score" / "score.py")
    score = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(score)
    meta = json.loads((folder / "meta.json").read_text())

    def watch(host, fed):
        host.trace_state(200000)
        return contextlib.nullcontext()
    return replay(str(folder / f"{side}.pcap"), local=[meta["endpoints"][side]["address"]],
                  host=score.host_file(meta, side), syscalls=str(folder / f"{side}.syscalls.jsonl"), watch=watch)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("folder", type=Path)
    ap.add_argument("side", choices=("client", "server"))
    ap.add_argument("-n", type=int, default=3, help="how many differing records to show")
    ap.add_argument("--all", action="store_true", help="every differing field again in each record, not only new ones")
    ap.add_argument("--fields", help="only these, with commas")
    ap.add_argument("--ignore", default="", help="not these, with commas")
    ap.add_argument("--points", default=",".join(POINTS))
    a = ap.parse_args()
    result = replay_states(a.folder, a.side)
    points = a.points.split(",")
    flat = {}
    for t, at, _, d in result.host.states():
        if at in points:
            port = tuple((d[k] & 255) << 8 | d[k] >> 8 for k in ("inet_sport", "sk_dport"))
            flat.setdefault((at, *port), []).append((t, d))
    used, shown, known = {}, 0, set()
    only = set(a.fields.split(",")) if a.fields else None
    ignore = IGNORE | set(a.ignore.split(","))
    for t, at, sport, dport, state, _ in corpus_states(a.folder / f"{a.side}.state.jsonl"):
        if at not in points:
            continue
        key = (at, sport, dport)
        k = used.get(key, 0)
        used[key] = k + 1
        mine = flat.get(key, [])
        if k >= len(mine):
            print(f"{at} #{k} {sport}->{dport} at {t}: the port has only {len(mine)}")
            shown += 1
            if shown >= a.n:
                break
            continue
        mt, d = mine[k]
        bad = []
        for name, value in d.items():
            real = state.get(name, 0)
            if name not in state and value == 0:
                continue
            if name not in state and name not in SEEN:
                continue
            if name in ignore or (only and name not in only):
                continue
            if differs(name, real, value):
                bad.append((name, real, value))
        fresh = [b for b in bad if a.all or b[0] not in known]
        known |= {b[0] for b in bad}
        if fresh:
            print(f"{at} #{k} {sport}->{dport} kernel {t} port {mt} ({(mt - t) / 1000:+.0f} us)")
            for name, real, value in fresh:
                print(f"    {name:32} kernel {real:>20} port {value:>20}  {value - real:+}")
            shown += 1
            if shown >= a.n:
                break
    if not shown:
        print("no field parts")
    result.close()


def seen_fields(folder):
    out = set()
    for f in folder.glob("*.state.jsonl"):
        for line in f.read_text().splitlines():
            out |= set(json.loads(line).get("d", ()))
    return out


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))
    SEEN = seen_fields(Path(sys.argv[1]))
    main()
