-- Written by the code of version 5.
BEGIN TRANSACTION;
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
INSERT INTO "chunks" VALUES('succeeded',0,'cpu','','succeeded',NULL,1,NULL,1,0,1.0,3,NULL,'[{"name":"filter-0","layer":null,"media_type":"image/png","width":2,"height":3,"file":"results/filter-0.png","sha256":"e5","size":10}]');
INSERT INTO "chunks" VALUES('succeeded',1,'cpu','','succeeded',NULL,2,NULL,1,0,1.0,5,NULL,'[{"name":"filter-1","layer":null,"media_type":"image/png","width":2,"height":3,"file":"results/filter-1.png","sha256":"e5","size":10}]');
INSERT INTO "chunks" VALUES('succeeded',2,'cpu','','succeeded',NULL,3,NULL,1,0,1.0,7,'{"model":"shapes","version":"1","method":"filters","layer":"conv1","target":null,"predictions":[],"values":{"map":[0.1,1e-12],"name":"filter-2"},"provenance":{"params":{},"seed":1,"image_sha256":null,"images_sha256":null,"model_sha256":"d1","plan":{},"software":{}},"timings_seconds":{"decode":0.0,"queue":0.0,"compute":0.25,"render":0.0},"values_file":null}','[{"name":"filter-2","layer":null,"media_type":"image/png","width":2,"height":3,"file":"results/filter-2.png","sha256":"e5","size":10}]');
INSERT INTO "chunks" VALUES('failed',0,'cpu','','failed',NULL,4,NULL,1,0,0.0,0,NULL,NULL);
INSERT INTO "chunks" VALUES('cancelled',0,'cpu','','cancelled',NULL,0,NULL,0,0,0.0,0,NULL,NULL);
INSERT INTO "chunks" VALUES('running',0,'cpu','','running',NULL,5,1.79612979120964479443e+09,1,0,0.25,0,NULL,NULL);
INSERT INTO "chunks" VALUES('running',1,'cpu','','queued',2,0,NULL,0,0,0.0,0,NULL,NULL);
INSERT INTO "chunks" VALUES('queued',0,'cpu','','queued',3,0,NULL,0,0,0.0,0,NULL,NULL);
CREATE TABLE duplicates (key TEXT PRIMARY KEY, job TEXT NOT NULL);
INSERT INTO "duplicates" VALUES('only succeeded','succeeded');
INSERT INTO "duplicates" VALUES('only running','running');
INSERT INTO "duplicates" VALUES('only queued','queued');
CREATE TABLE fences (last INTEGER NOT NULL);
INSERT INTO "fences" VALUES(5);
CREATE TABLE holds (
    process TEXT PRIMARY KEY,
    worker TEXT NOT NULL,
    job TEXT NOT NULL,
    chunk INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    ended REAL
);
INSERT INTO "holds" VALUES('gone','worker','running',0,5,NULL);
CREATE TABLE idempotency (key TEXT PRIMARY KEY, fingerprint TEXT, reserved REAL NOT NULL, job TEXT, ends REAL NOT NULL);
INSERT INTO "idempotency" VALUES('key','f',1.796133451048350811e+09,'succeeded',1.7962197911156377793e+09);
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
INSERT INTO "jobs" VALUES(1,'succeeded','','{"id":"succeeded","owner":"","queue":"cpu","request":{"model":"shapes","version":"1","model_sha256":"d1","method":"filters","params":{"layer":"ä:b"},"image":"a1","images":null,"input_bytes":100,"versions":[]},"unit":"filters","chunks":[[0],[1]],"combines":true}','a1',100,30,2,'succeeded',7,1.79613339111536931993e+09,1.79613339112301445012e+09,1.79613339115506696701e+09,2.79613339115506696701e+09,NULL);
INSERT INTO "jobs" VALUES(2,'failed','','{"id":"failed","owner":"","queue":"cpu","request":{"model":"shapes","version":"1","model_sha256":"d1","method":"filters","params":{"layer":"ä:b"},"image":null,"images":null,"input_bytes":0,"versions":[]},"unit":"filters","chunks":[[0]],"combines":false}',NULL,0,0,1,'failed',3,1.79613339115944647787e+09,1.7961333911633574963e+09,1.79613339117394185066e+09,2.79613339117394161213e+09,'{"code":"not_finite","detail":"The values are not finite."}');
INSERT INTO "jobs" VALUES(3,'cancelled','','{"id":"cancelled","owner":"","queue":"cpu","request":{"model":"shapes","version":"1","model_sha256":"d1","method":"filters","params":{"layer":"ä:b"},"image":null,"images":null,"input_bytes":0,"versions":[]},"unit":"filters","chunks":[[0]],"combines":false}',NULL,0,0,1,'cancelled',2,1.79613339117934846874e+09,NULL,1.7961333911912765503e+09,2.7961333911912765503e+09,NULL);
INSERT INTO "jobs" VALUES(4,'running','','{"id":"running","owner":"","queue":"cpu","request":{"model":"shapes","version":"1","model_sha256":"d1","method":"filters","params":{"layer":"ä:b"},"image":"b2","images":null,"input_bytes":100,"versions":[]},"unit":"filters","chunks":[[0],[1]],"combines":false}','b2',100,0,2,'running',3,1.79613339119508790974e+09,1.79613339120263147347e+09,NULL,2.79613339119508790974e+09,NULL);
INSERT INTO "jobs" VALUES(5,'queued','','{"id":"queued","owner":"","queue":"cpu","request":{"model":"shapes","version":"1","model_sha256":"d1","method":"filters","params":{"layer":"ä:b"},"image":null,"images":null,"input_bytes":0,"versions":[]},"unit":"filters","chunks":[[0]],"combines":false}',NULL,0,0,1,'queued',1,1.79613339121736645702e+09,NULL,NULL,2.79613339121736621849e+09,NULL);
CREATE TABLE lanes (queue TEXT NOT NULL, owner TEXT NOT NULL, turn INTEGER NOT NULL, PRIMARY KEY (queue, owner)) WITHOUT ROWID;
INSERT INTO "lanes" VALUES('cpu','',2);
CREATE TABLE places (job TEXT NOT NULL, name TEXT NOT NULL, chunk INTEGER NOT NULL, PRIMARY KEY (job, name)) WITHOUT ROWID;
INSERT INTO "places" VALUES('succeeded','filter-0',0);
INSERT INTO "places" VALUES('succeeded','filter-1',1);
INSERT INTO "places" VALUES('succeeded','filter-2',2);
CREATE TABLE releases (worker TEXT PRIMARY KEY, ends REAL NOT NULL);
CREATE TABLE requests (job TEXT NOT NULL, id TEXT NOT NULL UNIQUE);
INSERT INTO "requests" VALUES('succeeded','succeeded');
INSERT INTO "requests" VALUES('failed','failed');
INSERT INTO "requests" VALUES('cancelled','cancelled');
INSERT INTO "requests" VALUES('running','running');
INSERT INTO "requests" VALUES('queued','queued');
CREATE TABLE tombstones (job TEXT PRIMARY KEY, owner TEXT NOT NULL, ends REAL NOT NULL);
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
CREATE INDEX jobs_in_work ON jobs (state) WHERE state IN ('queued', 'running');
CREATE INDEX jobs_to_expire ON jobs (expires) WHERE finished IS NOT NULL;
CREATE INDEX jobs_by_input ON jobs (input);
CREATE INDEX jobs_by_owner ON jobs (owner);
CREATE INDEX jobs_in_work_of ON jobs (owner, state, items) WHERE state IN ('queued', 'running');
CREATE INDEX jobs_bytes_of ON jobs (owner, input, input_bytes, picture_bytes);
CREATE INDEX chunks_queued ON chunks (queue, owner, position) WHERE position IS NOT NULL;
CREATE INDEX chunks_leased ON chunks (lease) WHERE lease IS NOT NULL;
CREATE UNIQUE INDEX lanes_by_turn ON lanes (queue, turn);
CREATE INDEX requests_by_job ON requests (job);
CREATE UNIQUE INDEX holds_by_fence ON holds (fence);
CREATE INDEX holds_by_job ON holds (job);
CREATE INDEX holds_ended ON holds (worker, ended) WHERE ended IS NOT NULL;
CREATE INDEX duplicates_by_job ON duplicates (job);
CREATE INDEX idempotency_ends ON idempotency (ends);
CREATE INDEX tombstones_ends ON tombstones (ends);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('jobs',5);
COMMIT;
PRAGMA user_version = 5;
