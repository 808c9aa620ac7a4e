-- The tables of the job records. A change here raises VERSION in sqlite_versions.py.
CREATE TABLE jobs (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    record TEXT NOT NULL,
    input TEXT,
    input_bytes INTEGER NOT NULL,
    picture_bytes INTEGER NOT NULL DEFAULT 0,
    items INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued',
    revision INTEGER NOT NULL DEFAULT 1,
    created REAL NOT NULL,
    started REAL,
    finished REAL,
    expires REAL NOT NULL,
    error TEXT
);
CREATE INDEX jobs_in_work ON jobs (state) WHERE state IN ('queued', 'running');
CREATE INDEX jobs_to_expire ON jobs (expires) WHERE finished IS NOT NULL;
CREATE INDEX jobs_by_input ON jobs (input);
-- With the sequence, which every index of a table ends with: one owner's jobs, newest first.
CREATE INDEX jobs_by_owner ON jobs (owner);
-- What one owner's jobs come to, without a look at the jobs themselves.
CREATE INDEX jobs_in_work_of ON jobs (owner, state, items) WHERE state IN ('queued', 'running');
CREATE INDEX jobs_bytes_of ON jobs (owner, input, input_bytes, picture_bytes);

-- fence is 0 unless an attempt runs, or the chunk ended with it. lease and position are set while they mean something.
-- position is among the owner's chunks of that queue.
-- Of the attempts, `retries` failed for a passing reason. result is NULL where nobody needs it any more.
CREATE TABLE chunks (
    job TEXT NOT NULL,
    number INTEGER NOT NULL,
    queue TEXT NOT NULL,
    owner TEXT NOT NULL,
    state TEXT NOT NULL,
    position INTEGER,
    fence INTEGER NOT NULL DEFAULT 0,
    lease REAL,
    attempts INTEGER NOT NULL DEFAULT 0,
    retries INTEGER NOT NULL DEFAULT 0,
    progress REAL NOT NULL DEFAULT 0,
    revision INTEGER NOT NULL DEFAULT 0,
    result TEXT,
    images TEXT,
    PRIMARY KEY (job, number)
);
CREATE INDEX chunks_queued ON chunks (queue, owner, position) WHERE position IS NOT NULL;
CREATE INDEX chunks_leased ON chunks (lease) WHERE lease IS NOT NULL;

-- Owners with chunks queued take turns, the lowest first.
CREATE TABLE lanes (queue TEXT NOT NULL, owner TEXT NOT NULL, turn INTEGER NOT NULL, PRIMARY KEY (queue, owner)) WITHOUT ROWID;
CREATE UNIQUE INDEX lanes_by_turn ON lanes (queue, turn);

-- In which chunk's `images` a picture is found by its name.
CREATE TABLE places (job TEXT NOT NULL, name TEXT NOT NULL, chunk INTEGER NOT NULL, PRIMARY KEY (job, name)) WITHOUT ROWID;

-- The submissions that a job answers: it is forgotten with the last of them.
CREATE TABLE requests (job TEXT NOT NULL, id TEXT NOT NULL UNIQUE);
CREATE INDEX requests_by_job ON requests (job);

-- What each process holds. `ended` is when the job ended under it; the row outlives the job.
CREATE TABLE holds (
    process TEXT PRIMARY KEY,
    worker TEXT NOT NULL,
    job TEXT NOT NULL,
    chunk INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    ended REAL
);
CREATE UNIQUE INDEX holds_by_fence ON holds (fence);
CREATE INDEX holds_by_job ON holds (job);
CREATE INDEX holds_ended ON holds (worker, ended) WHERE ended IS NOT NULL;

CREATE TABLE duplicates (key TEXT PRIMARY KEY, job TEXT NOT NULL);
CREATE INDEX duplicates_by_job ON duplicates (job);
CREATE TABLE idempotency (key TEXT PRIMARY KEY, fingerprint TEXT, reserved REAL NOT NULL, job TEXT, ends REAL NOT NULL);
CREATE INDEX idempotency_ends ON idempotency (ends);
CREATE TABLE tombstones (job TEXT PRIMARY KEY, owner TEXT NOT NULL, ends REAL NOT NULL);
CREATE INDEX tombstones_ends ON tombstones (ends);

-- Who is told of a job. `id` is the submission that brought it; `event` is what is to be sent or being sent, the
-- `number`th of this webhook, and `due` its time, or the end of the attempt's lease. `tries` is the fence.
CREATE TABLE webhooks (
    id TEXT PRIMARY KEY,
    job TEXT NOT NULL,
    owner TEXT NOT NULL,
    url TEXT NOT NULL,
    receiver TEXT NOT NULL,
    events TEXT NOT NULL,
    ending TEXT,
    event TEXT,
    number INTEGER NOT NULL DEFAULT 0,
    due REAL,
    until REAL,
    lease REAL,
    tries INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    sent REAL,
    last_status INTEGER,
    last_error TEXT
);
CREATE INDEX webhooks_by_job ON webhooks (job);
CREATE INDEX webhooks_due ON webhooks (due) WHERE due IS NOT NULL;
CREATE INDEX webhooks_by_receiver ON webhooks (owner, receiver, due) WHERE due IS NOT NULL;
CREATE INDEX webhooks_leased ON webhooks (lease) WHERE lease IS NOT NULL;
CREATE TABLE delivery_outcomes (outcome TEXT PRIMARY KEY, count INTEGER NOT NULL);
CREATE TABLE signing_secrets (owner TEXT PRIMARY KEY, current TEXT NOT NULL, previous TEXT, ends REAL);
CREATE TABLE releases (worker TEXT PRIMARY KEY, ends REAL NOT NULL);
CREATE TABLE fences (last INTEGER NOT NULL);
INSERT INTO fences VALUES (0);
