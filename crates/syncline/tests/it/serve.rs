//! `syncline serve`: targets by their schedules and at changes, reloading, draining, one for each workspace.

use std::fs;

use serde_json::{Value, json};

use crate::http::Server;
use crate::support::World;
use crate::watch_place::{Watched, eventually, status};

/// Writes a file of mirrors: the name of each, and what is written below it.
fn configure(world: &World, targets: &[(&str, &str)]) {
    let mut text = "version: \"1.0\"\nnode: { name: here }\ntargets:\n".to_owned();
    for (name, rest) in targets {
        fs::create_dir_all(world.remote(name)).unwrap();
        text.push_str(&format!(
            "  {name}: {{ path: {name}, remote: {{ kind: folder, path: ../remote/{name} }}, {rest} }}\n"
        ));
    }
    // Whole or not at all, as editors write: half a file would be one more thing to be told of.
    fs::write(world.path("new.yaml"), text).unwrap();
    fs::rename(world.path("new.yaml"), world.local("syncline.yaml")).unwrap();
}

fn serve(world: &World) -> Watched {
    let mut serving = Watched::launch(world, &["serve"]);
    eventually("it serves", || {
        let ended = serving.child.try_wait().unwrap();
        assert!(ended.is_none(), "{}", serving.said());
        serving.said().contains("serving")
    });
    serving
}

/// What the running process tells of a target.
fn target(world: &World, name: &str) -> Value {
    let status = status(world);
    let targets = status["watch"]["targets"].as_array().cloned().unwrap_or_default();
    targets.into_iter().find(|target| target["target"] == name).unwrap_or_default()
}

#[test]
fn a_file_that_changes_again_while_a_run_comes_to_its_end_is_read_again() {
    let world = World::new();
    let slow = "triggers: { watch: true }, safety: { pre_sync_checks: [{ name: Slow, command: \"touch ../begun; \
                while test -e ../gate; do sleep 0.05; done\" }] }";
    configure(&world, &[("slow", slow)]);
    world.write_local("slow/a.md", "a");
    fs::write(world.path("gate"), "").unwrap();
    let serving = serve(&world);
    eventually("it runs", || world.path("begun").exists());
    configure(&world, &[("slow", slow), ("second", "triggers: { watch: true }")]);
    eventually("it is read", || serving.said().contains("was read anew"));
    // It waits for the run, and knows nothing of this yet.
    world.write_local("third/c.md", "c");
    configure(&world, &[("slow", slow), ("third", "triggers: { watch: true }")]);
    fs::remove_file(world.path("gate")).unwrap();
    eventually("the last one counts", || world.read_remote("third/c.md").is_some());
    assert!(target(&world, "second").is_null(), "{}", serving.said());
}

#[test]
fn a_file_that_is_away_for_a_moment_is_not_taken_for_that_of_a_folder_above() {
    let world = World::new();
    configure(&world, &[("notes", "triggers: { watch: true }")]);
    world.write_local("notes/a.md", "a");
    fs::create_dir_all(world.path("above")).unwrap();
    let above = "version: \"1.0\"\ntargets:\n  above: { path: remote, remote: { kind: folder, path: above }, triggers: { \
                 watch: true } }\n";
    fs::write(world.path("syncline.yaml"), above).unwrap();
    let serving = serve(&world);
    fs::rename(world.local("syncline.yaml"), world.path("kept.yaml")).unwrap();
    eventually("it is told", || serving.said().contains("the old configuration stays in force"));
    fs::rename(world.path("kept.yaml"), world.local("syncline.yaml")).unwrap();
    eventually("it is back", || serving.said().contains("was read anew"));
    world.write_local("notes/b.md", "b");
    eventually("it is served", || world.read_remote("notes/b.md").is_some());
    assert!(!world.path(".syncline").exists(), "{}", serving.said());
}

#[test]
fn what_is_due_at_the_start_comes_after_what_is_watched_where_it_is_to() {
    let world = World::new();
    let slow = "triggers: { watch: true }, safety: { pre_sync_checks: [{ name: Slow, command: \"touch ../begun; \
                while test -e ../gate; do sleep 0.05; done\" }] }";
    let due = |after: &str| format!("schedule: every 1h, triggers: {{ after: [{after}] }}");
    configure(&world, &[("last", &due("middle")), ("middle", &due("watched")), ("watched", slow)]);
    for name in ["last", "middle", "watched"] {
        world.write_local(&format!("{name}/a.md"), name);
    }
    let serving = serve(&world);
    eventually("all have run", || world.read_remote("last/a.md").is_some());
    let history = world.json(0, &["history"]);
    let mut runs: Vec<&str> =
        history["runs"].as_array().unwrap().iter().map(|run| run["target"].as_str().unwrap()).collect();
    runs.reverse();
    runs.dedup();
    assert_eq!(runs, ["watched", "middle", "last"], "{}", serving.said());
}

#[test]
fn what_waits_for_a_run_to_end_is_not_begun_after_a_signal() {
    let world = World::new();
    let slow = "triggers: { watch: true }, safety: { pre_sync_checks: [{ name: Slow, command: \"touch ../begun; \
                while test -e ../gate; do sleep 0.05; done\" }] }";
    configure(&world, &[("slow", slow), ("second", "triggers: { watch: true }")]);
    world.write_local("slow/a.md", "a");
    fs::write(world.path("gate"), "").unwrap();
    let mut serving = serve(&world);
    eventually("it runs", || world.path("begun").exists());
    world.write_local("second/b.md", "b");
    serving.signal("-TERM");
    eventually("it is told", || serving.said().contains("asked to end"));
    fs::remove_file(world.path("gate")).unwrap();
    assert_eq!(serving.ended().code(), Some(0));
    assert_eq!(world.read_remote("slow/a.md").as_deref(), Some("a"), "{}", serving.said());
    assert_eq!(world.read_remote("second/b.md"), None, "{}", serving.said());
}

#[test]
fn targets_run_by_their_schedules_and_at_changes_and_others_are_left() {
    let world = World::new();
    let targets = [
        ("often", "schedule: every 1s"),
        ("seen", "triggers: { watch: true }"),
        ("rarely", "schedule: \"0 0 29 2 *\""),
        ("never", "priority: 1"),
    ];
    configure(&world, &targets);
    for (name, _) in targets {
        world.write_local(&format!("{name}/a.md"), name);
    }
    let mut serving = serve(&world);
    eventually("the first runs", || {
        world.read_remote("often/a.md").is_some() && world.read_remote("seen/a.md").is_some()
    });
    // What changed on the other side comes in with the next run that is due, or is noticed.
    world.write_remote("often/b.md", "b");
    world.write_remote("seen/b.md", "b");
    eventually("later changes", || {
        world.read_local("often/b.md").is_some() && world.read_local("seen/b.md").is_some()
    });
    assert_eq!(world.read_remote("rarely/a.md"), None);
    assert_eq!(world.read_remote("never/a.md"), None);

    // It tells what it does, and is the only one.
    eventually("it tells of both", || {
        target(&world, "often")["last_run"]["success"] == true
            && target(&world, "seen")["last_run"]["success"] == true
    });
    let known = status(&world);
    assert_eq!(
        (&known["watch"]["serving"], &known["watch"]["pid"]),
        (&json!(true), &json!(serving.child.id()))
    );
    assert_eq!(known["watch"]["targets"].as_array().unwrap().len(), 3, "{known}");
    let rarely = target(&world, "rarely");
    assert_eq!(rarely["last_run"], Value::Null);
    assert!(rarely["next_try"].as_str().unwrap().contains("-02-29T00:00:00"), "{rarely}");
    let page = world.expect(0, &["run", "--status"]).out;
    assert!(page.contains("by schedules and at changes") && page.contains("no run since then"), "{page}");
    let history = world.json(0, &["history"]);
    let causes: Vec<&str> =
        history["runs"].as_array().unwrap().iter().map(|run| run["cause"].as_str().unwrap()).collect();
    assert!(causes.contains(&"schedule") && causes.contains(&"watch"), "{causes:?}");
    // An address that is taken as well is the lesser reason.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for second in [&["serve"][..], &["serve", "--listen", &address], &["run", "--watch"]] {
        assert_eq!(world.json(1, second)["error"]["code"], "watch_running");
    }

    let stopped = world.json(0, &["run", "--stop"]);
    assert_eq!(stopped["stopped"], true, "{stopped}");
    assert_eq!(serving.ended().code(), Some(0));
}

#[test]
fn a_run_that_is_going_on_comes_to_its_end_and_others_are_told_who_works() {
    let gate = "safety:\n  pre_sync_checks:\n    - name: Gate\n      \
                command: \"touch began; until test -e go; do sleep 0.05; done\"";
    let world = World::with(&format!("schedule: every 1s\n{gate}"));
    world.write_local("a.md", "a");
    let mut serving = serve(&world);
    eventually("the run began", || world.local("began").exists());
    let refused = world.expect(1, &["run"]);
    assert!(refused.err.contains(&format!("process {}", serving.child.id())), "{}", refused.err);
    serving.signal("-TERM");
    // Whoever is killed by the signal is gone by the time another program has run.
    status(&world);
    assert!(serving.child.try_wait().unwrap().is_none(), "it waits for the run");
    world.write_local("go", "");
    assert_eq!(serving.ended().code(), Some(0));
    assert_eq!(world.agreed("a.md").as_deref(), Some("a"));
    assert_eq!(world.json(0, &["history"])["runs"][0]["success"], true);
    // It was seen to, so that the next start does not owe it.
    let seen = fs::read_to_string(world.local(".syncline/schedule.json")).unwrap();
    assert!(seen.contains("\"main\""), "{seen}");
}

#[test]
fn what_is_due_waits_for_a_run_from_a_shell() {
    let gate = "safety:\n  pre_sync_checks:\n    - name: Gate\n      \
                command: \"touch began; until test -e go; do sleep 0.05; done\"";
    let world = World::with(&format!("schedule: every 1s\n{gate}"));
    world.write_local("a.md", "a");
    let mut shell = Watched::launch(&world, &["run"]);
    eventually("the run began", || world.local("began").exists());
    let serving = serve(&world);
    let waits = format!("main is due and waits: the workspace is in use by process {}", shell.child.id());
    eventually("it waits", || serving.said().contains(&waits));
    world.write_local("go", "");
    assert_eq!(shell.ended().code(), Some(0));
    eventually("it runs", || target(&world, "main")["last_run"]["success"] == true);
    assert_eq!(serving.said().matches("is due and waits").count(), 1, "{}", serving.said());
}

#[test]
fn a_changed_file_is_read_anew_and_a_wrong_one_leaves_the_old_one_in_force() {
    let world = World::new();
    configure(&world, &[("often", "schedule: every 1s")]);
    let mut serving = serve(&world);
    eventually("the first run", || target(&world, "often")["last_run"]["success"] == true);

    world.configure("version: \"1.0\"\ntargets:\n  often: { pth: often }\n");
    eventually("it tells", || serving.said().contains("the old configuration stays in force"));
    let said = serving.said();
    let line = said.lines().find(|line| line.contains("stays in force")).unwrap();
    assert!(line.contains("syncline.yaml:3:12: unknown key"), "it says where and what: {line}");
    assert!(line.contains("did you mean"), "it says what to do: {line}");
    assert!(!said.contains("u{a}"), "a line is one line: {said}");
    world.write_local("often/a.md", "a");
    eventually("the old one is in force", || world.read_remote("often/a.md").is_some());
    configure(&world, &[("often", "priority: 1")]);
    eventually("nothing to do is wrong too", || serving.said().contains("has a `schedule` or is watched"));

    world.write_local("more/a.md", "a");
    configure(&world, &[("often", "schedule: every 1s"), ("more", "schedule: every 1s")]);
    eventually("the new one is in force", || world.read_remote("more/a.md").is_some());
    world.write_local("often/b.md", "b");
    eventually("the old target goes on", || world.read_remote("often/b.md").is_some());

    let before = serving.said().matches("was read anew").count();
    serving.signal("-HUP");
    eventually("it is read again", || serving.said().matches("was read anew").count() > before);
    serving.signal("-TERM");
    assert_eq!(serving.ended().code(), Some(0));
}

#[test]
fn what_was_missed_is_made_up_for_once_and_only_where_it_is_wanted() {
    let world = World::new();
    let yearly = "schedule: \"@yearly\"";
    configure(
        &world,
        &[("last", &format!("{yearly}, missed: last")), ("none", &format!("{yearly}, missed: none"))],
    );
    for name in ["last", "none"] {
        world.write_local(&format!("{name}/a.md"), name);
    }
    // A command that leaves a state folder.
    world.expect(0, &["resume", "last"]);
    let seen = json!({ "version": 1, "seen_to": { "last": 0, "none": 0 } });
    fs::write(world.local(".syncline/schedule.json"), seen.to_string()).unwrap();
    let first = serve(&world);
    eventually("it is made up for", || target(&world, "last")["last_run"]["success"] == true);
    assert_eq!(world.read_remote("last/a.md").as_deref(), Some("last"));
    assert_eq!(target(&world, "none")["last_run"], Value::Null);
    assert_eq!(world.read_remote("none/a.md"), None);
    drop(first);
    // Killed and started again, it owes nothing.
    world.write_local("last/b.md", "b");
    let mut second = serve(&world);
    eventually("it knows what comes next", || target(&world, "last")["next_try"].is_string());
    second.signal("-TERM");
    assert_eq!(second.ended().code(), Some(0));
    assert_eq!(world.read_remote("last/b.md"), None);
}

#[test]
fn a_paused_target_is_left_alone_until_it_is_resumed() {
    let world = World::new();
    configure(&world, &[("often", "schedule: every 1s"), ("other", "schedule: every 1s")]);
    world.write_local("often/a.md", "a");
    world.expect(0, &["pause", "often", "--reason", "the disk is being replaced"]);
    let serving = serve(&world);
    eventually("it says so", || serving.said().contains("often: left alone: paused since"));
    world.write_local("other/a.md", "a");
    eventually("the other runs", || world.read_remote("other/a.md").is_some());
    assert_eq!(world.read_remote("often/a.md"), None);
    assert_eq!(serving.said().matches("often: left alone").count(), 1, "{}", serving.said());
    world.expect(0, &["resume", "often"]);
    eventually("it goes on", || world.read_remote("often/a.md").is_some());
}

#[test]
fn a_file_in_which_nothing_runs_by_itself_is_refused() {
    let world = World::new();
    let refused = world.json(2, &["serve"]);
    assert_eq!(refused["error"]["code"], "nothing_to_serve", "{refused}");
    assert!(!world.local(".syncline").exists());
}

#[test]
fn a_file_in_which_nothing_runs_by_itself_is_served_to_whoever_asks() {
    let world = World::new();
    let text = fs::read_to_string(world.local("syncline.yaml")).unwrap();
    let section = "serve: { listen: \"127.0.0.1:0\" }\n";
    for (section, arguments) in [("", &["serve", "--listen", "127.0.0.1:0"][..]), (section, &["serve"][..])] {
        world.configure(&format!("{text}{section}"));
        world.write_local("a.md", section);
        let mut server = Server::listening(&world, arguments);
        eventually("it is ready", || server.get("/readyz").status == 200);
        let ran = server.post("/api/v1/runs", &json!({}));
        assert_eq!((ran.status, &ran.json()["results"][0]["success"]), (200, &json!(true)), "{}", ran.body);
        assert_eq!(world.agreed("a.md").as_deref(), Some(section));

        // It stays served when the file is read anew.
        world.configure(&format!("{text}# Changed.\n{section}"));
        eventually("it is read", || server.serving.said().contains("was read anew"));
        assert_eq!(server.get("/readyz").status, 200);
        server.serving.signal("-TERM");
        assert_eq!(server.serving.ended().code(), Some(0));
    }
}

#[test]
fn once_runs_what_is_due_and_what_was_missed_and_ends_as_a_run_does() {
    let world = World::new();
    let targets = [
        ("often", "schedule: every 24h"),
        ("seen", "triggers: { watch: true }"),
        ("asked", "triggers: { events: [deploy] }"),
        ("all", "schedule: \"0 0 1 1 *\", missed: all"),
        ("none", "schedule: \"0 0 1 1 *\", missed: none"),
        ("paused", "schedule: every 24h"),
        ("never", "priority: 1"),
    ];
    // A process that is killed leaves what it was asked for.
    configure(&world, &targets[2..3]);
    world.expect(0, &["pause", "asked", "--reason", "later"]);
    let killed = serve(&world);
    assert_eq!(world.json(0, &["trigger", "deploy"])["handed_over"], true);
    drop(killed);
    world.expect(0, &["resume", "asked"]);

    configure(&world, &targets);
    for (name, _) in targets {
        world.write_local(&format!("{name}/a.md"), name);
    }
    world.expect(0, &["pause", "paused", "--reason", "later"]);
    // 2023-01-02: at least three moments have passed since.
    let seen = json!({ "version": 1, "seen_to": { "all": 1_672_617_600_000_000_000_i64, "none": 0 } });
    fs::write(world.local(".syncline/schedule.json"), seen.to_string()).unwrap();

    let report = world.json(0, &["serve", "--once"]);
    let ran: Vec<&str> = report["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["target"].as_str().unwrap())
        .collect();
    for name in ["often", "seen", "asked"] {
        assert_eq!(ran.iter().filter(|ran| **ran == name).count(), 1, "{name}: {ran:?}");
        assert_eq!(world.read_remote(&format!("{name}/a.md")).as_deref(), Some(name));
    }
    assert!(ran.iter().filter(|ran| **ran == "all").count() >= 3, "each moment that was missed: {ran:?}");
    assert!(!ran.iter().any(|ran| ["none", "paused", "never"].contains(ran)), "{ran:?}");
    assert_eq!(report["left_out"][0]["target"], "paused", "{report}");
    assert_eq!(status(&world)["running"], false, "it has ended");

    // Started again at once, it owes nothing; only what is watched has to be looked at.
    let again = world.json(0, &["serve", "--once"]);
    let ran: Vec<&Value> =
        again["results"].as_array().unwrap().iter().map(|result| &result["target"]).collect();
    assert_eq!(ran, ["seen"], "{again}");

    // What a run comes to is what it ends with.
    fs::remove_dir_all(world.remote("seen")).unwrap();
    let halted = world.json(4, &["serve", "--once"]);
    assert_eq!(halted["results"][0]["state"], "halted", "{halted}");
    configure(&world, &[("often", "schedule: every 24h")]);
    let idle = world.expect(0, &["serve", "--once"]);
    assert_eq!((idle.out.as_str(), idle.err.as_str()), ("nothing is due\n", ""));
}

#[test]
fn once_is_refused_where_nothing_can_be_due_and_beside_one_that_goes_on() {
    let world = World::new();
    assert_eq!(world.json(2, &["serve", "--once"])["error"]["code"], "nothing_to_serve");
    configure(&world, &[("seen", "triggers: { watch: true }")]);
    let serving = serve(&world);
    assert_eq!(world.json(1, &["serve", "--once"])["error"]["code"], "watch_running");
    drop(serving);
    world.write_local("seen/a.md", "a");
    world.expect(0, &["serve", "--once"]);
    assert_eq!(world.read_remote("seen/a.md").as_deref(), Some("a"));
}

#[test]
fn a_scheduled_target_that_stays_halted_is_told_once_until_it_goes_on() {
    let world = World::new();
    configure(&world, &[("often", "schedule: every 1s")]);
    fs::remove_dir_all(world.remote("often")).unwrap();
    let serving = serve(&world);
    let runs = |state: &str| {
        let runs = world.json(0, &["history", "--limit", "1000"])["runs"].clone();
        runs.as_array().unwrap().iter().filter(|run| run["state"] == state).count()
    };
    eventually("it is halted again and again", || runs("halted") >= 3);
    // What is printed is logged, too.
    let halts = || {
        let files = fs::read_dir(world.local(".syncline/logs")).unwrap();
        let logged: String =
            files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap_or_default()).collect();
        logged.lines().filter(|line| line.contains("a target ran") && line.contains("halted: ")).count()
    };
    eventually("it is told", || halts() > 0);
    assert_eq!(halts(), 1, "{}", serving.said());
    fs::create_dir_all(world.remote("often")).unwrap();
    world.write_local("often/a.md", "a");
    eventually("it goes on", || world.read_remote("often/a.md").is_some());
    fs::remove_dir_all(world.remote("often")).unwrap();
    eventually("another halt is told", || halts() == 2);
}

#[test]
fn what_of_a_changed_file_counts_from_the_next_start_is_told() {
    let world = World::new();
    let text = fs::read_to_string(world.local("syncline.yaml")).unwrap();
    let configure = |section: &str| {
        fs::write(world.path("new.yaml"), format!("{text}{section}")).unwrap();
        fs::rename(world.path("new.yaml"), world.local("syncline.yaml")).unwrap();
    };
    let tls = "tls: { cert: c.pem, key: k.pem }";
    let later = |server: &Server, told: usize| {
        eventually("it is read", || server.serving.said().matches("was read anew").count() == told);
        let said = server.serving.said();
        let line = said.lines().rfind(|line| line.contains("was read anew")).unwrap();
        line.split_once("anew").unwrap().1.to_owned()
    };
    configure("serve: { listen: \"127.0.0.1:0\" }\n");
    let server = Server::listening(&world, &["serve"]);
    configure(&format!("serve: {{ listen: \"127.0.0.2:0\", {tls} }}\n"));
    assert_eq!(
        later(&server, 1),
        "; changes of `serve.listen` and `serve.tls` count from the next start",
        "{}",
        server.serving.said()
    );
    configure("serve: { listen: \"127.0.0.2:0\" }\n# Once more.\n");
    assert_eq!(later(&server, 2), "; changes of `serve.listen` count from the next start");
    configure("serve: { listen: \"127.0.0.1:0\", require_token: true }\n");
    assert_eq!(later(&server, 3), "", "it listens as the file says");
    eventually("the rest is in force", || server.get("/api/v1/status").status == 401);
    drop(server);

    let told = Server::listening(&world, &["serve", "--listen", "127.0.0.1:0"]);
    configure("serve: { listen: \"127.0.0.2:0\" }\n");
    assert_eq!(later(&told, 1), "", "the address that it was told counts anyway");
}
