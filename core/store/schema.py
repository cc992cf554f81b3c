"""The tables, version 1. Later versions are steps in `core.store.migrations`, never edits of this text.

`event` is the truth. `stage`, `checkpoint`, `series`, `metric`, `cka`, `eval_run`, `eval_item` and
`completion` are indexes folded from it by `core.store.folding` and can be folded again. `run` holds the
state of a run and what people wrote about it.
"""

from __future__ import annotations

VERSION_1 = """
CREATE TABLE project (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    created REAL NOT NULL
) STRICT;

CREATE TABLE model (
    id INTEGER PRIMARY KEY,
    label TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE run (
    uid TEXT PRIMARY KEY NOT NULL,
    project INTEGER NOT NULL REFERENCES project(id),
    model INTEGER NOT NULL REFERENCES model(id),
    name TEXT NOT NULL,
    status TEXT NOT NULL
        CHECK (status IN ('queued', 'running', 'done', 'stopped', 'failed', 'interrupted')),
    recipe_json TEXT NOT NULL,
    code_version TEXT NOT NULL DEFAULT '',
    env_json TEXT NOT NULL DEFAULT '{}',
    seed INTEGER NOT NULL,
    created REAL NOT NULL,
    started REAL,
    ended REAL,
    heartbeat REAL,
    pid INTEGER,
    pid_started REAL,
    session INTEGER NOT NULL DEFAULT 0,
    star INTEGER NOT NULL DEFAULT 0 CHECK (star IN (-1, 0, 1)),
    tags_json TEXT NOT NULL DEFAULT '[]',
    notes TEXT NOT NULL DEFAULT '',
    failure TEXT NOT NULL DEFAULT '',
    failure_message TEXT NOT NULL DEFAULT '',
    recovered_json TEXT NOT NULL DEFAULT '{}',
    last_seq INTEGER NOT NULL DEFAULT 0  -- never goes back, so that a reader's cursor stays valid
) STRICT;
CREATE INDEX run_created ON run(created);

CREATE TABLE event (
    run TEXT NOT NULL REFERENCES run(uid) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    t REAL NOT NULL,
    kind TEXT NOT NULL,
    stage TEXT NOT NULL,  -- '' where the event belongs to the whole run
    step INTEGER,
    payload TEXT NOT NULL,
    PRIMARY KEY (run, seq)
) STRICT;
CREATE INDEX event_kind ON event(run, kind, stage);

CREATE TABLE stage (
    run TEXT NOT NULL REFERENCES run(uid) ON DELETE CASCADE,
    ordinal INTEGER NOT NULL,
    stage_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    source TEXT,
    role TEXT,
    implied INTEGER NOT NULL,
    spec_json TEXT,  -- NULL where the recipe declares no stage of that id
    status TEXT NOT NULL,
    input_checkpoint TEXT,
    output_checkpoint TEXT,
    reused INTEGER NOT NULL DEFAULT 0,
    seconds REAL,
    PRIMARY KEY (run, stage_id)
) STRICT;

CREATE TABLE checkpoint (
    id INTEGER PRIMARY KEY,
    run TEXT REFERENCES run(uid) ON DELETE SET NULL,  -- the files outlive a deleted run
    identity TEXT NOT NULL,
    parent TEXT,
    kind TEXT NOT NULL,
    path TEXT NOT NULL,  -- relative to the home folder
    bytes INTEGER NOT NULL,
    fingerprint TEXT,
    step INTEGER,
    final INTEGER NOT NULL,
    stage TEXT NOT NULL,
    seq INTEGER NOT NULL,
    UNIQUE (run, identity)
) STRICT;
CREATE INDEX checkpoint_identity ON checkpoint(identity);

CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL REFERENCES run(uid) ON DELETE CASCADE,
    stage TEXT NOT NULL,
    key TEXT NOT NULL,
    unit TEXT NOT NULL DEFAULT '',
    n INTEGER NOT NULL DEFAULT 0,
    last_step INTEGER,
    last_value REAL,
    last_flag INTEGER NOT NULL DEFAULT 0,
    vmin REAL,  -- over the finite values
    vmax REAL,
    stride INTEGER NOT NULL DEFAULT 1,
    thin BLOB,  -- every stride-th value as little-endian float64; only where a sparkline is drawn
    UNIQUE (run, stage, key)
) STRICT;

CREATE TABLE metric (
    series INTEGER NOT NULL REFERENCES series(id) ON DELETE CASCADE,
    step INTEGER NOT NULL,
    t REAL NOT NULL,
    value REAL,
    flag INTEGER NOT NULL DEFAULT 0,  -- 0 finite, 1 NaN, 2 +infinity, 3 -infinity
    PRIMARY KEY (series, step),
    CHECK ((flag = 0) = (value IS NOT NULL) AND flag IN (0, 1, 2, 3))
) STRICT, WITHOUT ROWID;

CREATE TABLE cka (
    run TEXT NOT NULL REFERENCES run(uid) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    stage TEXT NOT NULL,
    step INTEGER,
    reference TEXT NOT NULL,
    current TEXT NOT NULL,
    probe TEXT NOT NULL,
    mode TEXT NOT NULL,
    token TEXT NOT NULL,
    preprocessing TEXT NOT NULL,
    variant TEXT NOT NULL,
    layout TEXT NOT NULL,
    rows TEXT NOT NULL,  -- JSON arrays of layer names
    cols TEXT NOT NULL,
    dtype TEXT NOT NULL,
    data BLOB NOT NULL,
    null_floor BLOB NOT NULL,
    spread BLOB NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (run, seq)
) STRICT;

CREATE TABLE eval_run (
    id INTEGER PRIMARY KEY,
    run TEXT NOT NULL REFERENCES run(uid) ON DELETE CASCADE,
    stage TEXT NOT NULL,
    subject TEXT NOT NULL,
    checkpoint TEXT,
    task TEXT NOT NULL,
    step INTEGER,
    seq INTEGER,  -- of the score; NULL while items still come in, and then so are the columns below
    n INTEGER,
    correct INTEGER,
    protocol_fingerprint TEXT,
    scorer TEXT,
    dataset TEXT,
    seed INTEGER
) STRICT;
CREATE UNIQUE INDEX eval_run_key ON eval_run(run, stage, subject, task, COALESCE(step, -1));

CREATE TABLE eval_item (
    id INTEGER PRIMARY KEY,
    eval_run INTEGER NOT NULL REFERENCES eval_run(id) ON DELETE CASCADE,
    item_id TEXT NOT NULL,
    correct INTEGER NOT NULL,
    score REAL,  -- NULL stands for NaN
    completion TEXT NOT NULL,
    gold TEXT NOT NULL,
    UNIQUE (eval_run, item_id)
) STRICT;

CREATE TABLE completion (
    run TEXT NOT NULL REFERENCES run(uid) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    stage TEXT NOT NULL,
    step INTEGER NOT NULL,
    item TEXT NOT NULL,
    prompt TEXT NOT NULL,
    demonstration TEXT NOT NULL,
    student_text TEXT NOT NULL,
    teacher_top1_agreement REAL,  -- NULL stands for NaN
    kl REAL,
    ended INTEGER NOT NULL,
    PRIMARY KEY (run, seq)
) STRICT;

CREATE TABLE artifact (
    id INTEGER PRIMARY KEY,
    run TEXT REFERENCES run(uid) ON DELETE SET NULL,
    kind TEXT NOT NULL,
    relpath TEXT NOT NULL UNIQUE,
    bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    state TEXT NOT NULL
) STRICT;

INSERT INTO project(id, name, created) VALUES (1, 'Default', CAST(strftime('%s', 'now') AS REAL));
"""
