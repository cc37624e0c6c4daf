-- The tables and the function. A document is kept as text: as JSON it would come back rewritten.
DO $$ BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = '{schema}') THEN
        CREATE SCHEMA "{schema}";
    END IF;
END $$;
CREATE TABLE IF NOT EXISTS "{schema}".{mark} (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    version integer NOT NULL
);
CREATE TABLE IF NOT EXISTS "{schema}".settings (
    tenant text COLLATE "C" PRIMARY KEY,
    version bytea CHECK (octet_length(version) = 16),
    generation bigint,
    document text,
    CHECK (
        (version IS NULL) = (generation IS NULL) AND (version IS NULL) = (document IS NULL)
    )
);
CREATE TABLE IF NOT EXISTS "{schema}".records (
    tenant text COLLATE "C" NOT NULL,
    "user" text COLLATE "C" NOT NULL,
    version bytea NOT NULL CHECK (octet_length(version) = 16),
    generation bigint NOT NULL,
    document text NOT NULL,
    PRIMARY KEY (tenant, "user")
) WITH (fillfactor = 70);
CREATE INDEX IF NOT EXISTS records_by_generation
    ON "{schema}".records (tenant, generation, "user");
CREATE TABLE IF NOT EXISTS "{schema}".charges (
    account text COLLATE "C" PRIMARY KEY,
    starts bigint[] NOT NULL DEFAULT '{}',
    numbers bigint[] NOT NULL DEFAULT '{}',
    leaves bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 70);
CREATE INDEX IF NOT EXISTS charges_by_end ON "{schema}".charges (leaves);
{charge}
INSERT INTO "{schema}".{mark} (version) VALUES ({version})
    ON CONFLICT (one) DO UPDATE SET version = {version};
