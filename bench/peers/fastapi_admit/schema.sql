CREATE TABLE products (
    id uuid PRIMARY KEY,
    slug text NOT NULL UNIQUE,
    key_hash bytea NOT NULL UNIQUE,
    rate_limit_rpm bigint
);

-- Free space in each page keeps updates of last_activity_at on the page, without index updates.
CREATE TABLE engines (
    id uuid PRIMARY KEY,
    product_id uuid NOT NULL REFERENCES products,
    user_id text NOT NULL,
    status text NOT NULL CHECK (
        status IN ('provisioning', 'running', 'sleeping', 'stopped', 'failed', 'destroying')
    ),
    url text NOT NULL,
    sealed_key text NOT NULL,
    engine_version text NOT NULL,
    created_at timestamptz NOT NULL,
    last_health_at timestamptz,
    last_activity_at timestamptz NOT NULL,
    UNIQUE (product_id, user_id)
) WITH (fillfactor = 80);
