//! Scrub finds content that changed although nobody wrote it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};

use sqlx::{Connection as _, SqliteConnection};

use crate::support::World;
use crate::watch_place::{Watched, eventually};

/// Flips a bit of a file and puts its time of modification back.
fn rot(file: &std::path::Path) {
    let modified = std::fs::metadata(file).unwrap().modified().unwrap();
    let mut handle = OpenOptions::new().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    handle.read_exact(&mut byte).unwrap();
    handle.seek(SeekFrom::Start(0)).unwrap();
    handle.write_all(&[byte[0] ^ 1]).unwrap();
    handle.set_modified(modified).unwrap();
}

#[test]
fn a_flipped_bit_is_found_and_repaired() {
    for side in ["local", "remote"] {
        let world = World::new();
        world.write_local("a.md", "precious");
        world.write_local("b.md", "sound");
        world.expect(0, &["run"]);
        let sound = world.json(0, &["scrub"]);
        assert_eq!(sound["sound"], true);
        assert_eq!(sound["targets"][0]["read"], 4);
        rot(&world.path(side).join("a.md"));
        let found = world.json(1, &["scrub"]);
        let findings = found["targets"][0]["findings"].as_array().unwrap();
        assert_eq!(findings.len(), 1, "{found:#}");
        assert_eq!((&findings[0]["side"], &findings[0]["path"]), (&side.into(), &"a.md".into()));
        let repaired = world.json(0, &["scrub", "--repair"]);
        assert_eq!(repaired["targets"][0]["findings"][0]["repaired"], true, "{repaired:#}");
        assert_eq!(world.agreed("a.md").as_deref(), Some("precious"));
        assert_eq!(world.json(0, &["scrub"])["targets"][0]["findings"].as_array().unwrap().len(), 0);
        world.expect(0, &["plan", "--detailed-exitcode"]);
    }
}

#[test]
fn an_edit_is_no_rot() {
    let world = World::new();
    world.write_local("a.md", "precious");
    world.expect(0, &["run"]);
    world.write_local("a.md", "improved");
    let scrubbed = world.json(0, &["scrub", "--repair"]);
    assert_eq!(scrubbed["targets"][0]["pending"], 1);
    assert_eq!(world.read_local("a.md").as_deref(), Some("improved"));
}

#[test]
fn damage_in_history_is_found() {
    let world = World::new();
    let text = "precious ".repeat(20);
    world.write_local("a.md", &text);
    world.expect(0, &["run"]);
    world.write_local("a.md", "improved");
    world.expect(0, &["run"]);
    let mut damaged = None;
    for folder in std::fs::read_dir(world.local(".syncline/objects")).unwrap() {
        let Ok(files) = std::fs::read_dir(folder.unwrap().path()) else { continue };
        for file in files.map(|file| file.unwrap().path()) {
            let mut content = Vec::new();
            File::open(&file).unwrap().read_to_end(&mut content).unwrap();
            if content == text.as_bytes() {
                damaged = Some(file);
            }
        }
    }
    let file = damaged.expect("the old version is in history");
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, text.replace("precious", "previous")).unwrap();
    let scrubbed = world.json(1, &["scrub"]);
    assert_eq!(scrubbed["history"]["damaged"].as_array().unwrap().len(), 1, "{scrubbed:#}");
    world.expect(0, &["doctor"]);
}

/// The objects of history whose content `holds`.
fn objects(world: &World, holds: impl Fn(&[u8]) -> bool) -> Vec<std::path::PathBuf> {
    let folders = std::fs::read_dir(world.local(".syncline/objects")).unwrap();
    let files = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
    let files = files.map(|file| file.unwrap().path());
    files.filter(|file| std::fs::read(file).is_ok_and(|content| holds(&content))).collect()
}

/// Replaces a file by another one of the same length: the old one may be linked from elsewhere.
fn damage(file: &std::path::Path) {
    let mut content = std::fs::read(file).unwrap();
    let last = content.len() - 1;
    content[last] ^= 1;
    std::fs::remove_file(file).unwrap();
    std::fs::write(file, content).unwrap();
}

/// A workspace with three versions of `a.bin` and `b.bin`; binary content is not kept to merge from.
fn three_versions() -> (World, Vec<String>) {
    let world = World::new();
    let mut runs = Vec::new();
    for version in ["one", "two", "three"] {
        for name in ["a.bin", "b.bin"] {
            world.write_local(name, &format!("{name} \0 {version}"));
        }
        runs.push(world.json(0, &["run"])["results"][0]["run"].as_str().unwrap().to_owned());
    }
    (world, runs)
}

#[test]
fn a_damaged_version_that_nothing_can_repair_is_set_aside_and_the_rest_works() {
    let (world, runs) = three_versions();
    let damaged = objects(&world, |content| content == b"a.bin \0 two");
    damage(damaged.first().expect("the version is in history"));
    let found = world.json(1, &["scrub"]);
    assert_eq!(found["history"]["damaged"].as_array().unwrap().len(), 1, "{found:#}");
    assert_eq!(found["history"]["set_aside"], serde_json::json!([]), "looking changes nothing");
    let repair = world.json(1, &["scrub", "--repair"]);
    assert_eq!(repair["history"]["set_aside"][0]["message"], "a version of a.bin", "{repair:#}");
    // From now on nothing is damaged any more, and it is told what lies aside.
    let after = world.json(0, &["scrub"]);
    assert_eq!((&after["sound"], &after["history"]["aside_before"]), (&true.into(), &1.into()), "{after:#}");
    let doctor = world.expect(0, &["doctor"]);
    assert!(doctor.out.contains("set aside"), "{}", doctor.out);
    world.expect(0, &["run"]);
    // What was asked for and is lost is told; everything else is done.
    let back = world.run(&["rollback", &runs[2]]);
    assert_eq!(back.code, 1, "{}{}", back.out, back.err);
    assert!(back.out.contains("a.bin"), "{}{}", back.out, back.err);
    assert_eq!(world.agreed("b.bin").as_deref(), Some("b.bin \0 two"));
    assert_eq!(world.agreed("a.bin").as_deref(), Some("a.bin \0 three"));
    world.expect(0, &["rollback", &runs[1]]);
    assert_eq!(world.agreed("a.bin").as_deref(), Some("a.bin \0 one"));
}

#[test]
fn a_damaged_version_is_mended_from_what_is_kept_to_merge_from() {
    let world = World::new();
    for version in ["one\n", "two\n", "three\n"] {
        world.write_local("a.md", version);
        world.expect(0, &["run"]);
    }
    damage(&objects(&world, |content| content == b"two\n")[0]);
    world.expect(1, &["scrub"]);
    let repair = world.json(0, &["scrub", "--repair"]);
    assert_eq!(repair["history"]["repaired"].as_array().unwrap().len(), 1, "{repair:#}");
    assert_eq!(repair["history"]["set_aside"], serde_json::json!([]));
    assert_eq!(objects(&world, |content| content == b"two\n").len(), 1);
}

#[test]
fn a_damaged_record_of_a_run_is_set_aside_and_the_rest_works() {
    for damaged in 0..3 {
        let (world, runs) = three_versions();
        let records = objects(&world, |content| content.starts_with(b"SYNCDELT"));
        let mut records: Vec<_> = records
            .into_iter()
            .map(|file| (std::fs::metadata(&file).unwrap().modified().unwrap(), file))
            .collect();
        records.sort();
        damage(&records[damaged].1);
        world.expect(1, &["doctor"]);
        let repair = world.json(1, &["scrub", "--repair"]);
        let told = repair["history"]["set_aside"][0]["message"].as_str().unwrap().to_owned();
        assert!(told.contains(&runs[damaged]), "{told}");
        // What was agreed on is found anew, without a removal.
        world.write_local("c.bin", "new");
        world.expect(0, &["run"]);
        assert_eq!(world.agreed("a.bin").as_deref(), Some("a.bin \0 three"));
        assert_eq!(world.agreed("c.bin").as_deref(), Some("new"));
        for command in [&["doctor"][..], &["scrub"], &["history"], &["status"], &["explain", "a.bin"]] {
            world.expect(0, command);
        }
        world.write_local("c.bin", "newer");
        world.expect(0, &["run"]);
        world.expect(0, &["rollback", "last"]);
        assert_eq!(world.agreed("c.bin").as_deref(), Some("new"));
        let refused = world.expect(1, &["rollback", &runs[damaged]]);
        assert!(refused.err.contains("was set aside"), "{}", refused.err);
        world.expect(0, &["restore", "c.bin"]);
        assert_eq!(world.agreed("c.bin").as_deref(), Some("newer"));
    }
}

/// Changes a text in the database as a disk does that rots; both are of one length.
fn rot_in_state(world: &World, before: &str, after: &str) {
    let file = world.local(".syncline/state.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let places: Vec<usize> =
        (0..bytes.len()).filter(|&at| bytes[at..].starts_with(before.as_bytes())).collect();
    assert!(!places.is_empty() && before.len() == after.len(), "{before}");
    for at in places {
        bytes[at..at + after.len()].copy_from_slice(after.as_bytes());
    }
    std::fs::write(&file, bytes).unwrap();
}

/// Puts what was written last, and is still in the log beside the database, into it.
fn take_over_the_log(world: &World) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let file = format!("sqlite:{}", world.local(".syncline/state.db").display());
        let mut connection = SqliteConnection::connect(&file).await.unwrap();
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
}

#[test]
fn rows_of_the_state_that_cannot_be_read_are_told_and_what_nobody_misses_is_repaired() {
    let world = World::with("triggers: { events: [deployed] }");
    world.write_local("a.md", "a");
    world.expect(0, &["run"]);
    world.expect(0, &["pause", "main", "--reason", "moving house"]);
    // What it was asked for waits while the target is paused.
    let mut serving = Watched::launch(&world, &["serve"]);
    eventually("it serves", || serving.said().contains("serving;"));
    assert_eq!(world.json(0, &["trigger", "deployed"])["handed_over"], true);
    serving.signal("-TERM");
    assert_eq!(serving.ended().code(), Some(0));
    world.expect(0, &["token", "create", "--name", "watcher", "--scope", "read"]);
    let sound = world.json(0, &["scrub"]);
    assert_eq!((&sound["state"]["read"], &sound["state"]["damaged"]), (&4.into(), &serde_json::json!([])));

    let rots = [
        ("moving house", "moving mouse"),
        ("event deployed", "event deployee"),
        ("watcher", "watchee"),
        ("\"recent\"", "\"recend\""),
    ];
    take_over_the_log(&world);
    rots.iter().for_each(|(before, after)| rot_in_state(&world, before, after));
    let kinds = |found: &serde_json::Value| {
        let rows = found["state"]["damaged"].as_array().unwrap().clone();
        let kind =
            |row: &serde_json::Value| (row["kind"].as_str().unwrap().to_owned(), row["repaired"] == true);
        rows.iter().map(kind).collect::<Vec<_>>()
    };
    let rows = |repaired: bool| {
        [("pauses", false), ("tokens", false), ("requests", repaired), ("totals", repaired)]
            .map(|(kind, repaired)| (kind.to_owned(), repaired))
    };
    assert_eq!(kinds(&world.json(1, &["scrub"])), rows(false));
    let doctor = world.json(1, &["doctor"]).to_string();
    for what in
        ["the pause of the target", "the token", "the request for the target", "the totals of the target"]
    {
        assert!(doctor.contains(what), "{what}: {doctor}");
    }
    assert_eq!(kinds(&world.json(1, &["scrub", "--repair"])), rows(true));
    let page = world.expect(1, &["scrub"]).out;
    assert!(
        page.contains("syncline resume main") && page.contains("syncline token revoke watchee"),
        "{page}"
    );
    world.expect(0, &["resume", "main"]);
    world.expect(0, &["token", "revoke", "watchee"]);
    assert_eq!(world.json(0, &["scrub"])["state"]["damaged"], serde_json::json!([]));
    assert!(!world.expect(0, &["doctor"]).out.contains("damaged"));
}

/// Changes rows of the database as a disk does that rots, each by one statement.
fn rot_rows(world: &World, statements: &[&'static str]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let file = format!("sqlite:{}", world.local(".syncline/state.db").display());
        let mut connection = SqliteConnection::connect(&file).await.unwrap();
        for statement in statements {
            let changed = sqlx::query(*statement).execute(&mut connection).await.unwrap().rows_affected();
            assert_eq!(changed, 1, "{statement}");
        }
        connection.close().await.unwrap();
    });
}

#[test]
fn rows_of_what_is_told_to_webhooks_are_looked_at_and_taken_out() {
    let world = World::with("schedule: \"@yearly\"");
    let text = world.read_local("syncline.yaml").unwrap();
    // Its receiver is never there, so that every message waits.
    world.configure(&format!(
        "{text}notify: {{ webhooks: {{ team: {{ url: \"http://127.0.0.1:1/\", secret: \"${{file:../key}}\", \
         allow_private: true }} }} }}\n"
    ));
    std::fs::write(world.path("key"), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLjSw").unwrap();
    world.write_local("a.md", "a");
    let deliveries = || world.json(0, &["webhooks", "log"])["deliveries"].as_array().unwrap().clone();
    let serve = |is_told: &dyn Fn() -> bool| {
        let mut serving = Watched::launch(&world, &["serve"]);
        eventually("it serves", || serving.said().contains("serving;"));
        if deliveries().is_empty() {
            world.expect(0, &["run"]);
        }
        eventually("it is told", is_told);
        serving.signal("-TERM");
        assert_eq!(serving.ended().code(), Some(0));
    };
    serve(&|| deliveries().iter().any(|delivery| !delivery["attempts"].as_array().unwrap().is_empty()));
    // This one waits to be handed on.
    world.write_local("b.md", "b");
    world.expect(0, &["run"]);
    let before = world.json(0, &["scrub"])["state"].clone();
    assert_eq!(before["damaged"], serde_json::json!([]), "{before}");

    rot_rows(
        &world,
        &[
            "UPDATE subscribers SET after = after + 1",
            "UPDATE news SET target = 'mbin' WHERE seq = (SELECT max(seq) FROM news)",
            "UPDATE messages SET body = body || ' ' WHERE seq = 1",
            "UPDATE attempts SET error = 'all is well' WHERE seq = 1",
        ],
    );
    let found = |exit, arguments: &[&str]| {
        let state = world.json(exit, arguments)["state"].clone();
        let row =
            |row: &serde_json::Value| (row["kind"].as_str().unwrap().to_owned(), row["repaired"] == true);
        state["damaged"].as_array().unwrap().iter().map(row).collect::<Vec<_>>()
    };
    let all =
        |repaired| ["subscribers", "news", "messages", "attempts"].map(|kind| (kind.to_owned(), repaired));
    assert_eq!(found(1, &["scrub"]), all(false));
    let doctor = world.json(1, &["doctor"]).to_string();
    for what in ["what the webhook", "a piece of news", "the message", "a try to deliver a message"] {
        assert!(doctor.contains(what), "{what}: {doctor}");
    }
    assert_eq!(found(0, &["scrub", "--repair"]), all(true));
    assert_eq!(found(0, &["scrub"]), []);
    assert!(!world.expect(0, &["doctor"]).out.contains("damaged"));
    // And the webhook is told of what happens then.
    assert_eq!(deliveries().len(), 0, "what could not be read was the only one");
    world.write_local("c.md", "c");
    world.expect(0, &["run"]);
    serve(&|| deliveries().iter().any(|delivery| delivery["target"] == "main"));
}

#[test]
fn a_damaged_baseline_is_healed_by_a_run_as_every_command_says() {
    let world = World::new();
    for name in ["a.md", "b.md"] {
        world.write_local(name, name);
    }
    world.expect(0, &["run"]);
    let bases =
        objects(&world, |content| content.starts_with(b"SYNCBASE") || content.starts_with(b"SYNCDELT"));
    bases.iter().for_each(|file| damage(file));
    let hint = "`syncline run` compares both sides afresh";
    let doctor = world.json(1, &["doctor"]);
    let failed = doctor["checks"].as_array().unwrap().iter().filter(|check| check["status"] == "fail");
    let baseline =
        failed.clone().find(|check| check["message"].as_str().unwrap().contains("the baseline of"));
    assert!(baseline.unwrap()["hint"].as_str().unwrap().starts_with(hint), "{doctor:#}");
    for arguments in [&["scrub"][..], &["scrub", "--repair"], &["scrub"]] {
        let page = world.expect(1, arguments).out;
        assert!(page.contains(hint) && !page.contains("folder away"), "{page}");
    }
    let page = world.expect(1, &["scrub"]).out;
    assert!(!page.contains("--repair"), "it has done what it can: {page}");

    world.expect(0, &["run"]);
    assert_eq!(world.agreed("a.md").as_deref(), Some("a.md"));
    world.expect(0, &["scrub"]);
    world.expect(0, &["doctor"]);
    assert_eq!(world.json(0, &["history"])["runs"].as_array().unwrap().len(), 2, "history is still there");
}
