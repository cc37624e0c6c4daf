-- Charges one message on each of these accounts, or on none. Answers no row if it was charged, and
-- otherwise which account is used up (from 0) and in how many milliseconds it allows another
-- message (null: never). All lists are in the order of the accounts; times are in milliseconds.
--
-- All accounts are locked first, in one order, and read only then. Under READ COMMITTED each
-- statement of the function sees what was committed before the lock was granted; where the
-- database's default is stricter, what changed meanwhile is a serialization failure. The slots of
-- an account are in the row that is locked, so that nothing of them is seen without it.
CREATE OR REPLACE FUNCTION "{schema}".charge(accounts text[], most bigint[], starts bigint[], counts_for bigint[], moment bigint)
RETURNS TABLE (exhausted integer, retry_after bigint)
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $charge$
#variable_conflict use_column
DECLARE
    kept record;
    known "{schema}".charges;
BEGIN
    -- The condition never holds: what is there is locked and not changed.
    INSERT INTO "{schema}".charges (account)
        SELECT DISTINCT named COLLATE "C" FROM unnest(accounts) AS named ORDER BY 1
        ON CONFLICT (account) DO UPDATE SET leaves = 0 WHERE false;
    FOR i IN 1 .. array_length(accounts, 1) LOOP
        SELECT * INTO known FROM "{schema}".charges WHERE account = accounts[i];
        SELECT coalesce(sum(n), 0) AS total INTO kept
            FROM unnest(known.starts, known.numbers) AS slot (start, n) WHERE start + counts_for[i] > moment;
        IF kept.total >= most[i] THEN
            -- A row that was made just now holds nothing.
            DELETE FROM "{schema}".charges WHERE account = ANY (accounts) AND leaves = 0;
            RETURN QUERY SELECT i - 1, min(start) + counts_for[i] - moment FROM (
                SELECT start, kept.total - sum(n) OVER (ORDER BY start) AS remaining
                FROM unnest(known.starts, known.numbers) AS slot (start, n) WHERE start + counts_for[i] > moment
            ) AS slots WHERE remaining < most[i];
            RETURN;
        END IF;
    END LOOP;
    FOR i IN 1 .. array_length(accounts, 1) LOOP
        CONTINUE WHEN accounts[i] = ANY (accounts[1 : i - 1]);
        SELECT * INTO known FROM "{schema}".charges WHERE account = accounts[i];
        SELECT coalesce(array_agg(start ORDER BY start), '{}') AS starts,
            coalesce(array_agg(n ORDER BY start), '{}') AS numbers,
            greatest(max(start), starts[i]) AS latest
            INTO kept FROM unnest(known.starts, known.numbers) AS slot (start, n) WHERE start + counts_for[i] > moment;
        IF kept.latest = kept.starts[array_length(kept.starts, 1)] THEN
            kept.numbers[array_length(kept.numbers, 1)] := kept.numbers[array_length(kept.numbers, 1)] + 1;
        ELSE
            kept.starts := kept.starts || kept.latest;
            kept.numbers := kept.numbers || 1::bigint;
        END IF;
        UPDATE "{schema}".charges SET starts = kept.starts, numbers = kept.numbers, leaves = kept.latest + counts_for[i]
            WHERE account = accounts[i];
    END LOOP;
    -- Last, since whoever waits for one of these rows must not be waited for.
    DELETE FROM "{schema}".charges WHERE account IN (
        SELECT account FROM "{schema}".charges WHERE leaves <= moment ORDER BY leaves LIMIT 100 FOR UPDATE SKIP LOCKED
    );
END
$charge$;
