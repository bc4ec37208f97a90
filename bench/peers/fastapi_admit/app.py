"""Admits users to their engines: POST /engines/{user_id}/admit, as docs/SPEC.md §3 documents it.

    DATABASE_URL=… ORCH_MASTER_KEY=… WORKERS=2 uvicorn app:app --workers 2

Each request is one round trip to the database. The service boots no engines: an engine that does
not run is not admitted.
"""

import asyncio
import hashlib
import math
import os
import re
import secrets
import time
from collections import defaultdict, deque
from datetime import datetime, timezone
from typing import Any
from uuid import UUID

import asyncpg
from cryptography.fernet import Fernet
from fastapi import FastAPI, Header, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel

FIND = """
    SELECT p.id AS product_id, p.rate_limit_rpm, e.id AS engine_id, e.user_id, e.status, e.url,
           e.sealed_key, e.engine_version, e.created_at, e.last_health_at
    FROM products p LEFT JOIN engines e ON e.product_id = p.id AND e.user_id = $2
    WHERE p.key_hash = $1
"""

NOTE_ACTIVITY = """
    UPDATE engines SET last_activity_at = seen.at
    FROM unnest($1::uuid[], $2::timestamptz[]) AS seen(id, at)
    WHERE engines.id = seen.id AND last_activity_at < seen.at
"""

REASONS = {
    "sleeping": "engine_sleeping",
    "stopped": "engine_sleeping",
    "failed": "engine_unhealthy",
    "provisioning": "engine_unhealthy",
}

VALID_REQUEST_ID = re.compile(r"[!-~]{1,128}")


def json_time(at: datetime | None) -> str | None:
    return at and at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class AdmitOptions(BaseModel):
    auto_provision: bool = False
    auto_wake: bool = False


class Engine(BaseModel):
    engine_id: UUID
    user_id: str
    status: str
    url: str
    api_key: str
    engine_version: str
    created_at: str
    last_health_at: str | None


class Admission(BaseModel):
    admitted: bool
    engine: Engine | None
    reason: str | None


class ApiError(Exception):
    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None):
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}


class RateLimiter:
    """At most `limit` calls in any 60 seconds, counted by the second."""

    def __init__(self) -> None:
        self.seconds: deque[list[float]] = deque()  # [time of its last call, number of calls]
        self.in_window = 0

    def take(self, limit: int, now: float) -> float | None:
        """Counts a call, or returns how many seconds to wait if the limit is reached."""
        while self.seconds and self.seconds[0][0] <= now - 60:
            self.in_window -= int(self.seconds.popleft()[1])
        if self.in_window >= limit:
            return self.seconds[0][0] + 60 - now if self.seconds else 60
        if not self.seconds or int(self.seconds[-1][0]) != int(now):
            self.seconds.append([now, 0])
        self.seconds[-1][0] = now
        self.seconds[-1][1] += 1
        self.in_window += 1
        return None


class Activity:
    """When each engine was last used, written once a minute in batches. An update on every
    request would make each request wait for the disk."""

    interval_s = 60
    batch = 1000

    def __init__(self) -> None:
        self.seen: dict[UUID, datetime] = {}

    async def write(self, pool: asyncpg.Pool) -> None:
        seen, self.seen = list(self.seen.items()), {}
        for start in range(0, len(seen), self.batch):
            engines, times = zip(*seen[start : start + self.batch])
            await pool.execute(NOTE_ACTIVITY, engines, times)

    async def write_behind(self, pool: asyncpg.Pool) -> None:
        while True:
            await asyncio.sleep(self.interval_s)
            await self.write(pool)


app = FastAPI()
master_key = Fernet(os.environ["ORCH_MASTER_KEY"])
# Each process counts its own calls, so each gets an equal share of a product's limit.
workers = int(os.environ.get("WORKERS", "1"))
limiters: defaultdict[UUID, RateLimiter] = defaultdict(RateLimiter)
activity = Activity()


@app.on_event("startup")
async def start() -> None:
    app.state.pool = await asyncpg.create_pool(
        os.environ["DATABASE_URL"],
        min_size=int(os.environ.get("POOL_SIZE", "10")),
        max_size=int(os.environ.get("POOL_SIZE", "10")),
    )
    app.state.writer = asyncio.create_task(activity.write_behind(app.state.pool))


@app.on_event("shutdown")
async def stop() -> None:
    app.state.writer.cancel()
    await activity.write(app.state.pool)
    await app.state.pool.close()


def headers_for(request: Request) -> dict[str, str]:
    sent = request.headers.get("x-request-id", "")
    request_id = sent if VALID_REQUEST_ID.fullmatch(sent) else secrets.token_hex(16)
    return {"X-Request-Id": request_id, "Cache-Control": "no-store"}


@app.exception_handler(ApiError)
async def reply_with_error(request: Request, error: ApiError) -> JSONResponse:
    body = {"error": {"code": error.code, "message": error.message}}
    return JSONResponse(body, error.status, headers_for(request) | error.headers)


@app.exception_handler(RequestValidationError)
async def reply_with_invalid(request: Request, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    message = f"{first['loc'][-1]}: {first['msg']}"
    return await reply_with_error(request, ApiError(400, "INVALID_REQUEST", message))


def check_rate(product: UUID, limit: int | None) -> None:
    if limit is None:
        return
    wait = limiters[product].take(limit // workers, time.monotonic())
    if wait is not None:
        message = f"Rate limit of {limit} admits a minute reached. Try again in {wait:.0f} s."
        raise ApiError(429, "RATE_LIMITED", message, {"Retry-After": str(math.ceil(wait))})


def answer(found: asyncpg.Record) -> dict[str, object]:
    if found["status"] != "running":
        reason = REASONS.get(found["status"], "engine_not_found")
        return {"admitted": False, "engine": None, "reason": reason}
    activity.seen[found["engine_id"]] = datetime.now(timezone.utc)
    engine = {
        "engine_id": str(found["engine_id"]),
        "user_id": found["user_id"],
        "status": found["status"],
        "url": found["url"],
        "api_key": master_key.decrypt(found["sealed_key"].encode()).decode(),
        "engine_version": found["engine_version"],
        "created_at": json_time(found["created_at"]),
        "last_health_at": json_time(found["last_health_at"]),
    }
    return {"admitted": True, "engine": engine}


@app.post(
    "/engines/{user_id}/admit", response_model=Admission, response_model_exclude_unset=True
)
async def admit(
    request: Request,
    response: Response,
    user_id: str = Path(max_length=256, regex=r"^[^\x00-\x1f\x7f-\x9f]+$"),
    options: AdmitOptions = AdmitOptions(),
    x_platform_key: str = Header(""),
) -> dict[str, Any]:
    key_hash = hashlib.sha256(x_platform_key.encode()).digest()
    found = await app.state.pool.fetchrow(FIND, key_hash, user_id)
    if found is None:
        raise ApiError(401, "INVALID_PLATFORM_KEY", "Send your product's key in X-Platform-Key.")
    check_rate(found["product_id"], found["rate_limit_rpm"])
    response.headers.update(headers_for(request))
    return answer(found)
