-- Scout v5.2 as deployed: the tables. The files of this folder run in order, as role loader, who owns every object:
-- the role that loaded the migrations is also the one whose cron jobs run the pipeline.

CREATE TYPE scout.time_of_day AS ENUM ('morning', 'afternoon', 'evening', 'night');
CREATE TYPE scout.customer_type AS ENUM ('new', 'returning', 'vip');

CREATE TABLE scout.dim_region (
    region_key text PRIMARY KEY,
    region_name text NOT NULL,
    area_sqkm numeric(10,2),
    population bigint,
    geom text
);

-- The simulation functions read a column is_active that this table never had.
CREATE TABLE scout.dim_store (
    store_id text PRIMARY KEY,
    store_name text NOT NULL,
    region text,
    province text,
    city text,
    opened_on date
);

CREATE TABLE scout.dim_product (
    product_id text PRIMARY KEY,
    product_key text NOT NULL UNIQUE,
    product_name text NOT NULL,
    brand_name text,
    category text,
    list_price numeric(10,2)
);

CREATE TABLE scout.bronze_events (
    event_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    event_type text NOT NULL,
    event_ts timestamptz NOT NULL DEFAULT now(),
    source_system text,
    event_data jsonb NOT NULL,
    event_hash bytea,
    ingested_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT bronze_events_event_hash_key UNIQUE (event_hash)
);
-- The same once more; within CREATE TABLE PostgreSQL would fold the two into one.
ALTER TABLE scout.bronze_events ADD CONSTRAINT unique_event_hash UNIQUE (event_hash);

CREATE TABLE scout.etl_processed (
    event_id uuid PRIMARY KEY,
    processed_at timestamptz NOT NULL DEFAULT now(),
    processing_duration_ms int,
    silver_records_created int DEFAULT 0
);
CREATE INDEX etl_processed_processed_at_idx ON scout.etl_processed (processed_at);

CREATE TABLE scout.silver_transactions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    transaction_id text NOT NULL UNIQUE,
    store_id text NOT NULL,
    ts timestamptz NOT NULL,
    date_key date NOT NULL,
    time_of_day scout.time_of_day,
    customer_id text,
    customer_type scout.customer_type,
    total_amount numeric(10,2) NOT NULL,
    discount_amount numeric(10,2) DEFAULT 0,
    tax_amount numeric(10,2) DEFAULT 0,
    net_amount numeric(10,2) NOT NULL,
    payment_method text,
    item_count int NOT NULL,
    unique_products int NOT NULL,
    basket_size int NOT NULL,
    units_per_transaction int,
    peso_value numeric,
    product_category text,
    handshake_triggered boolean,
    handshake_score numeric,
    campaign_id text,
    campaign_influenced boolean,
    region text,
    province text,
    city text,
    processed_at timestamptz DEFAULT now(),
    quality_score numeric,
    source_event_id uuid,
    created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now()
);
CREATE INDEX silver_transactions_store_idx ON scout.silver_transactions (store_id);
CREATE INDEX silver_transactions_ts_idx ON scout.silver_transactions (ts);
CREATE INDEX silver_transactions_date_idx ON scout.silver_transactions (date_key);
CREATE INDEX silver_transactions_customer_idx ON scout.silver_transactions (customer_id);
CREATE INDEX silver_transactions_campaign_idx ON scout.silver_transactions (campaign_id);
CREATE INDEX silver_transactions_store_date_idx ON scout.silver_transactions (store_id, date_key);
CREATE INDEX silver_transactions_region_date_idx ON scout.silver_transactions (region, date_key);
CREATE INDEX silver_transactions_processed_idx ON scout.silver_transactions (processed_at);

CREATE TABLE scout.silver_line_items (
    line_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    transaction_id text NOT NULL,
    product_id text NOT NULL,
    product_name text,
    brand_name text,
    category text,
    quantity int NOT NULL,
    unit_price numeric(10,2) NOT NULL,
    line_amount numeric(10,2) NOT NULL,
    discount_amount numeric(10,2) DEFAULT 0,
    cost_of_goods numeric(10,2),
    margin_amount numeric(10,2),
    margin_percentage numeric,
    detected_brand text,
    brand_match_confidence numeric,
    processed_at timestamp DEFAULT now(), -- quirk 23: no time zone
    updated_at timestamptz DEFAULT now(),
    product_key text,
    line_sequence int DEFAULT 1,
    CONSTRAINT fk_item_transaction FOREIGN KEY (transaction_id)
        REFERENCES scout.silver_transactions (transaction_id) ON DELETE CASCADE -- quirk 24
);
CREATE UNIQUE INDEX silver_line_items_line_key ON scout.silver_line_items (transaction_id, product_id, line_sequence);
CREATE INDEX silver_line_items_transaction_idx ON scout.silver_line_items (transaction_id);
CREATE INDEX idx_line_items_transaction_id ON scout.silver_line_items (transaction_id);
CREATE INDEX silver_line_items_product_idx ON scout.silver_line_items (product_id);
CREATE INDEX idx_line_items_product_id ON scout.silver_line_items (product_id);
CREATE INDEX silver_line_items_brand_idx ON scout.silver_line_items (brand_name);
CREATE INDEX silver_line_items_product_key_idx ON scout.silver_line_items (product_key) WHERE product_key IS NOT NULL;
CREATE INDEX silver_line_items_updated_idx ON scout.silver_line_items (updated_at);

CREATE TABLE scout.alerts (
    alert_id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    alert_type text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    message text,
    payload jsonb,
    created_at timestamptz DEFAULT now(),
    resolved_at timestamptz,
    resolved_by text
);
