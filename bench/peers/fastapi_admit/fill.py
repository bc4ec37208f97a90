"""Creates the tables of app.py, with one product and its running engines.

    DATABASE_URL=… ORCH_MASTER_KEY=… PLATFORM_KEY=… fill.py --engines 1000 --rate-limit-rpm 60
"""

import argparse
import asyncio
import hashlib
import os
import secrets
from datetime import datetime, timezone
from pathlib import Path
from typing import Iterator
from uuid import UUID, uuid4

import asyncpg
from cryptography.fernet import Fernet

COLUMNS = (
    "id product_id user_id status url sealed_key engine_version"
    " created_at last_health_at last_activity_at"
).split()


def engines(product: UUID, count: int, master_key: Fernet) -> Iterator[tuple[object, ...]]:
    now = datetime.now(timezone.utc)
    for number in range(count):
        engine = uuid4()
        sealed = master_key.encrypt(f"sk-sept-{secrets.token_urlsafe(32)}".encode()).decode()
        url = f"http://engine-{engine.hex[:12]}:8000"
        yield (
            *(engine, product, f"user-{number}", "running", url, sealed),
            *("september-engine:latest", now, now, now),
        )


async def fill(count: int, rate_limit_rpm: int) -> None:
    product = uuid4()
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    await connection.execute(Path(__file__).with_name("schema.sql").read_text())
    await connection.execute(
        "INSERT INTO products VALUES ($1, 'bench', $2, $3)",
        *(product, hashlib.sha256(os.environ["PLATFORM_KEY"].encode()).digest(), rate_limit_rpm),
    )
    await connection.copy_records_to_table(
        "engines",
        columns=COLUMNS,
        records=engines(product, count, Fernet(os.environ["ORCH_MASTER_KEY"])),
    )
    await connection.execute("VACUUM ANALYZE")
    await connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engines", type=int, required=True)
    parser.add_argument("--rate-limit-rpm", type=int, required=True)
    args = parser.parse_args()
    asyncio.run(fill(args.engines, args.rate_limit_rpm))


if __name__ == "__main__":
    main()
