"""Messages of the peers' own benchmarks as files for `peers-decode`: of polyfill-rs 0.4.3 (`benches/ws_hot_path.rs`,
books of 1, 16 and 64 levels a side) and of the official SDK 0.9 (`benches/deserialize_websocket.rs`, 1, 5 and 20).

    python own_inputs.py FOLDER [FRAMES]

Key order, spaces, prices and sizes are theirs. Their tokens, conditions and times (`test_asset_id`, `0xabc`, numbers
of 16 digits) are none of this venue, so a token, a condition and a time in milliseconds are put in their place.
"""

import sys
from pathlib import Path

TOKEN = "71321045679252212594626385532706912750332728571942532289631379312455583992563"
MARKET = "0x" + "1" * 64


def polyfill(levels, time_ms):
    bids = ",".join(f'{{"price":"0.{7500 - n:04}","size":"100.0000"}}' for n in range(levels))
    asks = ",".join(f'{{"price":"0.{7501 + n:04}","size":"100.0000"}}' for n in range(levels))
    head = f'"event_type":"book","asset_id":"{TOKEN}","market":"{MARKET}","timestamp":"{time_ms}"'
    return f'{{{head},"bids":[{bids}],"asks":[{asks}]}}'


def sdk(levels, time_ms):
    bids = ", ".join(f'{{"price": "0.{55 - n}", "size": "{100 * (n + 1)}.0"}}' for n in range(levels))
    asks = ", ".join(f'{{"price": "0.{56 + n}", "size": "{150 + 25 * n}.0"}}' for n in range(levels))
    head = f'"event_type": "book", "asset_id": "{TOKEN}", "market": "{MARKET}", "timestamp": "{time_ms}"'
    return f'{{{head}, "hash": "abc123", "bids": [{bids}], "asks": [{asks}]}}'


folder, frames = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 20_000
for message, all_levels in ((polyfill, (1, 16, 64)), (sdk, (1, 5, 20))):
    for levels in all_levels:
        path = folder / f"{message.__name__}-{levels}.jsonl"
        lines = [f"[{message(levels, 1757908892351)}]", *(message(levels, 1757908892352 + n) for n in range(frames))]
        path.write_text("\n".join(lines) + "\n")
        print(path)
