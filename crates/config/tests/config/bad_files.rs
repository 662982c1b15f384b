//! Files that do not load, and what is said of them.

use insta::assert_snapshot;

use crate::support::{load, refusal, target};

#[test]
fn unknown_keys() {
    assert_snapshot!(refusal("version: \"1.0\"\ntargts: {}\n"), @"
    error: unknown key `targts`
      --> syncline.yaml:2:1
       |
     2 | targts: {}
       | ^^^^^^
      = help: did you mean `targets`?
    ");
    assert_snapshot!(refusal(&target("remote: disk\ndrection: pull")), @"
    error: unknown key `drection` in targets.notes
      --> syncline.yaml:7:5
       |
     7 |     drection: pull
       |     ^^^^^^^^
      = help: did you mean `direction`?
    ");
    assert_snapshot!(refusal(&target("remote: disk\nspeed: high")), @"
    error: unknown key `speed` in targets.notes
      --> syncline.yaml:7:5
       |
     7 |     speed: high
       |     ^^^^^
      = help: known keys: `allow_write`, `config`, `conflicts`, `description`, `direction`, `entrypoint`, `env`, `exclude`, `git_commit`, `guard`, `idempotent`, `in_place`, `include`, `inputs`, `jitter`, `limits`, `missed`, `outputs`, `path`, `priority`, `remote`, `safety`, `sanitize`, `schedule`, …
    ");
    assert_snapshot!(refusal(&target("remote: disk\nguard: { deletes_max_percnt: 5 }")), @"
    error: unknown key `deletes_max_percnt` in targets.notes.guard
      --> syncline.yaml:7:14
       |
     7 |     guard: { deletes_max_percnt: 5 }
       |              ^^^^^^^^^^^^^^^^^^
      = help: did you mean `deletes_max_percent`?
    ");
    assert_snapshot!(refusal(&target("remote: disk\nconflicts:\n  - { match: \"*\", polcy: newest }")), @r#"
    error: unknown key `polcy` in targets.notes.conflicts[0]
      --> syncline.yaml:8:23
       |
     8 |       - { match: "*", polcy: newest }
       |                       ^^^^^
      = help: did you mean `policy`?
    "#);
    assert_snapshot!(refusal("version: \"1.0\"\ndefaults: { loudness: 11 }\n"), @"
    error: unknown key `loudness` in defaults
      --> syncline.yaml:2:13
       |
     2 | defaults: { loudness: 11 }
       |             ^^^^^^^^
      = help: known keys: `concurrency`, `direction`, `dry_run`, `fail_on_diff`, `git_commit`, `idempotent`, `jitter`, `missed`, `timezone`, `windows`
    ");
}

#[test]
fn missing_keys() {
    assert_snapshot!(refusal("targets: {}\n"), @r#"
    error: missing key `version`
      --> syncline.yaml:1:1
       |
     1 | targets: {}
       | ^
      = help: for example `version: "1.0"`
    "#);
    assert_snapshot!(refusal(&target("path: x")), @r#"
    error: missing key `remote` in targets.notes
      --> syncline.yaml:5:3
       |
     5 |   notes:
       |   ^^^^^
      = help: for example `remote: knowledge`; or `entrypoint`, for a script
    "#);
    assert_snapshot!(refusal(&target("remote: { path: /x }")), @"
    error: missing key `kind` in targets.notes.remote
      --> syncline.yaml:6:5
       |
     6 |     remote: { path: [redacted] }
       |     ^^^^^^
      = help: known kinds: `folder`, `s3`
    ");
    assert_snapshot!(refusal(&target("remote: { kind: s3 }")), @"
    error: missing key `bucket` in targets.notes.remote
      --> syncline.yaml:6:5
       |
     6 |     remote: { kind: s3 }
       |     ^^^^^^
      = help: bucket: the name of the bucket
    ");
    assert_snapshot!(refusal(&target("remote: disk\nconflicts: [{ match: x, policy: prefer }]")), @"
    error: the policy `prefer` needs a `side`
      --> syncline.yaml:7:17
       |
     7 |     conflicts: [{ match: x, policy: prefer }]
       |                 ^
      = help: add `side: local` or `side: remote`
    ");
}

#[test]
fn wrong_types() {
    assert_snapshot!(refusal("version: 1.0\n"), @r#"
    error: the version is text, not the number `1.0`
      --> syncline.yaml:1:10
       |
     1 | version: 1.0
       |          ^^^
      = help: this program reads `version: "1.0"`, in quotes
    "#);
    assert_snapshot!(refusal("version: 2\n"), @r#"
    error: the version is text, not the number `2`
      --> syncline.yaml:1:10
       |
     1 | version: 2
       |          ^
      = help: this program reads `version: "1.0"`, in quotes
    "#);
    assert_snapshot!(refusal("- a\n- b\n"), @"
    error: the file must be a mapping, not a list
      --> syncline.yaml:1:1
       |
     1 | - a
       | ^
    ");
    assert_snapshot!(refusal("just text\n"), @"
    error: the file must be a mapping, not text
      --> syncline.yaml:1:1
       |
     1 | just text
       | ^^^^^^^^^
    ");
    assert_snapshot!(refusal("version: \"1.0\"\ntargets: [a, b]\n"), @"
    error: targets must be a mapping, not a list
      --> syncline.yaml:2:10
       |
     2 | targets: [a, b]
       |          ^
    ");
    assert_snapshot!(refusal(&target("remote: disk\ntriggers: { watch: yes }")), @"
    error: targets.notes.triggers.watch must be `true` or `false`, not text
      --> syncline.yaml:7:24
       |
     7 |     triggers: { watch: yes }
       |                        ^^^
    ");
    assert_snapshot!(refusal(&target("remote: disk\ninclude: \"*.md\"")), @r#"
    error: targets.notes.include must be a list, not text
      --> syncline.yaml:7:14
       |
     7 |     include: "*.md"
       |              ^^^^^^
      = help: write a list: `[…]`
    "#);
    assert_snapshot!(refusal(&target("remote: disk\nexclude: [7]")), @"
    error: targets.notes.exclude[0] must be text, not a whole number
      --> syncline.yaml:7:15
       |
     7 |     exclude: [7]
       |               ^
      = help: put it in quotes
    ");
    assert_snapshot!(refusal(&target("remote: [disk]")), @"
    error: targets.notes.remote must be text or a mapping, not a list
      --> syncline.yaml:6:13
       |
     6 |     remote: [disk]
       |             ^
    ");
    assert_snapshot!(refusal(&target("remote: disk\nguard: { deletes_max: many }")), @"
    error: targets.notes.guard.deletes_max must be a whole number, not text
      --> syncline.yaml:7:27
       |
     7 |     guard: { deletes_max: many }
       |                           ^^^^
    ");
    assert_snapshot!(refusal(&target("remote: disk\nguard: { deletes_max: 1.5 }")), @"
    error: targets.notes.guard.deletes_max must be a whole number, not a number with a fraction
      --> syncline.yaml:7:27
       |
     7 |     guard: { deletes_max: 1.5 }
       |                           ^^^
    ");
    assert_snapshot!(refusal(&target("remote: disk\nconflicts: { match: x }")), @"
    error: targets.notes.conflicts must be text or a list, not a mapping
      --> syncline.yaml:7:16
       |
     7 |     conflicts: { match: x }
       |                ^
    ");
}

#[test]
fn bad_values() {
    assert_snapshot!(refusal("version: \"2.0\"\n"), @r#"
    error: the version `2.0` of the file's format is not supported
      --> syncline.yaml:1:10
       |
     1 | version: "2.0"
       |          ^^^^^
      = help: this program reads `version: "1.0"`; a newer one may read this file
    "#);
    assert_snapshot!(refusal(&target("remote: disk\ndirection: pul")), @"
    error: unknown value `pul` for targets.notes.direction
      --> syncline.yaml:7:16
       |
     7 |     direction: pul
       |                ^^^
      = help: did you mean `pull`? allowed: `pull`, `push`, `bidirectional`
    ");
    assert_snapshot!(refusal(&target("remote: disk\ndirection: sideways")), @"
    error: unknown value `sideways` for targets.notes.direction
      --> syncline.yaml:7:16
       |
     7 |     direction: sideways
       |                ^^^^^^^^
      = help: allowed: `pull`, `push`, `bidirectional`
    ");
    assert_snapshot!(refusal(&target("remote: disk\nconflicts: prefer")), @"
    error: unknown value `prefer` for targets.notes.conflicts
      --> syncline.yaml:7:16
       |
     7 |     conflicts: prefer
       |                ^^^^^^
      = help: allowed: `auto`, `merge`, `markers`, `json`, `union`, `keep-both`, `newest`, `manual`
    ");
    assert_snapshot!(refusal(&target("remote: disk\nconflicts: [{ match: x, policy: newest, side: local }]")), @"
    error: `side` only goes with `policy: prefer`
      --> syncline.yaml:7:17
       |
     7 |     conflicts: [{ match: x, policy: newest, side: local }]
       |                 ^
      = help: remove `side`, or write `policy: prefer`
    ");
    assert_snapshot!(refusal(&target("remote: disk\nguard: { deletes_max_percent: 150 }")), @"
    error: targets.notes.guard.deletes_max_percent is 150, but must be at most 100
      --> syncline.yaml:7:35
       |
     7 |     guard: { deletes_max_percent: 150 }
       |                                   ^^^
    ");
    assert_snapshot!(refusal("version: \"1.0\"\nhistory: { keep_days: 5000000000 }\n"), @"
    error: history.keep_days is 5000000000, but must be at most 36500
      --> syncline.yaml:2:23
       |
     2 | history: { keep_days: 5000000000 }
       |                       ^^^^^^^^^^
    ");
    assert_snapshot!(refusal("version: \"1.0\"\nnode: { name: \"my machine\" }\n"), @r#"
    error: `my machine` cannot be the name of a node
      --> syncline.yaml:2:15
       |
     2 | node: { name: "my machine" }
       |               ^^^^^^^^^^^^
      = help: use letters, digits, `.`, `_` and `-`, at most 64, the first one a letter, digit or `_`
    "#);
    assert_snapshot!(refusal("version: \"1.0\"\nhistory: { keep_days: .inf }\n"), @"
    error: the number is not finite
      --> syncline.yaml:2:23
       |
     2 | history: { keep_days: .inf }
       |                       ^^^^
    ");
}

#[test]
fn bad_globs() {
    assert_snapshot!(refusal(&target("remote: disk\ninclude: [\"*.md\", \"a[\"]")), @r#"
    error: unclosed character class; missing ']' in the pattern "a["
      --> syncline.yaml:7:23
       |
     7 |     include: ["*.md", "a["]
       |                       ^^^^
    "#);
    assert_snapshot!(refusal(&target("remote: disk\nexclude: [\" \"]")), @r#"
    error: nothing is named in the pattern " "
      --> syncline.yaml:7:15
       |
     7 |     exclude: [" "]
       |               ^^^
      = help: name what is meant, such as `*.tmp` or `build/`; `**` stands for everything
    "#);
    assert_snapshot!(refusal(&target("remote: disk\ninclude: [../x]")), @r#"
    error: a part that no path has in the pattern "../x"
      --> syncline.yaml:7:15
       |
     7 |     include: [../x]
       |               ^^^^
      = help: write it relative to the target's folder, without `.`, `..` or two `/` in a row
    "#);
    assert_snapshot!(refusal(&target("remote: disk\nconflicts: [{ match: \"{a\", policy: newest }]")), @r#"
    error: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?) in the pattern "{a"
      --> syncline.yaml:7:26
       |
     7 |     conflicts: [{ match: "{a", policy: newest }]
       |                          ^^^^
    "#);
}

#[test]
fn bad_paths() {
    for path in ["../x", "/etc", "a/../../b", "~/x", "'C:\\x'", ".."] {
        let shown = refusal(&target(&format!("remote: disk\npath: {path}")));
        assert!(shown.contains("leads out of the workspace"), "{shown}");
    }
    assert_snapshot!(refusal(&target("remote: disk\npath: ../x")), @"
    error: the path `../x` leads out of the workspace
      --> syncline.yaml:7:11
       |
     7 |     path: ../x
       |           ^^^^
      = help: a target lies inside the workspace; write its path relative to it, such as `shared/notes`
    ");
    assert_snapshot!(refusal(&target("remote: disk\npath: a/.git/hooks")), @"
    error: the path `a/.git/hooks` cannot be a target: Git internals are never synced
      --> syncline.yaml:7:11
       |
     7 |     path: a/.git/hooks
       |           ^^^^^^^^^^^^
      = help: a target lies inside the workspace; write its path relative to it, such as `shared/notes`
    ");
    assert_snapshot!(refusal(&target("remote: disk\npath: 'a\\b'")), @r"
    error: the path `a\\b` holds a backslash; names are separated by `/`
      --> syncline.yaml:7:11
       |
     7 |     path: 'a\b'
       |           ^^^^^
      = help: a target lies inside the workspace; write its path relative to it, such as `shared/notes`
    ");
    assert_snapshot!(refusal(&target("remote: disk\npath: ''")), @"
    error: the path is empty
      --> syncline.yaml:7:11
       |
     7 |     path: ''
       |           ^^
      = help: a target lies inside the workspace; write its path relative to it, such as `shared/notes`
    ");
    assert_snapshot!(refusal(&target("remote: disk\nguard: { sentinel: ../x }")), @r#"
    error: not a sentinel: the path "../x" has an empty, `.` or `..` component
      --> syncline.yaml:7:24
       |
     7 |     guard: { sentinel: ../x }
       |                        ^^^^
      = help: name a file by its path inside the target, such as `.syncline-sentinel`
    "#);
}

#[test]
fn bad_endpoints() {
    assert_snapshot!(refusal(&target("remote: dsk")), @"
    error: there is no endpoint `dsk`
      --> syncline.yaml:6:13
       |
     6 |     remote: dsk
       |             ^^^
      = help: did you mean `disk`?
    ");
    assert_snapshot!(refusal("version: \"1.0\"\ntargets: { a: { remote: disk } }\n"), @"
    error: there is no endpoint `disk`
      --> syncline.yaml:2:25
       |
     2 | targets: { a: { remote: disk } }
       |                         ^^^^
      = help: name one under `endpoints`, or write its kind and settings here: `{ kind: … }`
    ");
    assert_snapshot!(refusal(&target("remote: { kind: foldr, path: x }")), @"
    error: unknown kind of endpoint `foldr` in targets.notes.remote
      --> syncline.yaml:6:21
       |
     6 |     remote: { kind: foldr, path: [redacted] }
       |                     ^^^^^
      = help: did you mean `folder`? allowed: `folder`, `s3`
    ");
    assert_snapshot!(refusal("version: \"1.0\"\nendpoints: { a: { kind: webdav } }\n"), @"
    error: unknown kind of endpoint `webdav` in endpoints.a
      --> syncline.yaml:2:25
       |
     2 | endpoints: { a: { kind: webdav } }
       |                         ^^^^^^
      = help: allowed: `folder`, `s3`
    ");
    assert_snapshot!(refusal(&target("remote: { kind: s3, buckt: b }")), @"
    error: unknown key `buckt` in targets.notes.remote
      --> syncline.yaml:6:25
       |
     6 |     remote: { kind: s3, buckt: [redacted] }
       |                         ^^^^^
      = help: did you mean `bucket`?
    ");
    assert_snapshot!(refusal(&target("remote:\n  kind: s3\n  bucket: 5\n  parts_max: 500\n  storage_class: warm")), @"
    error: targets.notes.remote.bucket must be text, not a whole number
      --> syncline.yaml:8:15
       |
     8 |       bucket: 5
       |               ^
      = help: put it in quotes

    error: targets.notes.remote.parts_max is 500, but must be at most 100
      --> syncline.yaml:9:18
       |
     9 |       parts_max: 500
       |                  ^^^

    error: unknown value `warm` for targets.notes.remote.storage_class
      --> syncline.yaml:10:22
        |
     10 |       storage_class: warm
        |                      ^^^^
      = help: allowed: `standard`, `cold`
    ");
    assert_snapshot!(refusal(&target("remote: { kind: s3, bucket: b, lock: { timeout: 5 }, prefixes: [a, {}] }")), @"
    error: unknown key `timeout` in targets.notes.remote.lock
      --> syncline.yaml:6:44
       |
     6 |     remote: { kind: s3, bucket: b, lock: { timeout: [redacted] }, prefixes: [a, {}] }
       |                                            ^^^^^^^
      = help: known keys: `timeout_ms`

    error: targets.notes.remote.prefixes[1] must be text, not a mapping
      --> syncline.yaml:6:72
       |
     6 |     remote: { kind: s3, bucket: b, lock: { timeout: [redacted] }, prefixes: [a, {}] }
       |                                                                                 ^
    ");
    assert_snapshot!(refusal(&target("remote: { kind: [s3] }")), @"
    error: targets.notes.remote.kind must be text
      --> syncline.yaml:6:21
       |
     6 |     remote: { kind: [s3] }
       |                     ^
    ");
}

#[test]
fn settings_with_alternatives_are_held_against_the_nearest() {
    let with = |cache: &str| target(&format!("remote: {{ kind: s3, bucket: b, cache: {cache} }}"));
    load(&with("{ bytes_max: 5 }")).unwrap();
    load(&with("{ items_max: 5, days_max: 2 }")).unwrap();
    assert_snapshot!(refusal(&with("{ items_max: 5, day_max: 2 }")), @"
    error: unknown key `day_max` in targets.notes.remote.cache
      --> syncline.yaml:6:59
       |
     6 |     remote: { kind: s3, bucket: b, cache: { items_max: 5, day_max: [redacted] } }
       |                                                           ^^^^^^^
      = help: did you mean `days_max`?
    ");
}

#[test]
fn bad_names() {
    assert_snapshot!(refusal("version: \"1.0\"\ntargets: { \"a b\": { remote: { kind: folder, path: x } } }\n"), @r#"
    error: `a b` cannot be the name of a target
      --> syncline.yaml:2:12
       |
     2 | targets: { "a b": { remote: { kind: folder, path: x } } }
       |            ^^^^^
      = help: use letters, digits, `.`, `_` and `-`, at most 64, the first one a letter, digit or `_`
    "#);
    assert_snapshot!(refusal("version: \"1.0\"\nendpoints: { ../x: { kind: folder, path: x } }\n"), @"
    error: `../x` cannot be the name of an endpoint
      --> syncline.yaml:2:14
       |
     2 | endpoints: { ../x: { kind: folder, path: x } }
       |              ^^^^
      = help: use letters, digits, `.`, `_` and `-`, at most 64, the first one a letter, digit or `_`
    ");
}

#[test]
fn bad_yaml() {
    assert_snapshot!(refusal("version: \"1.0\"\nnode: { name: a }\nnode: { name: b }\n"), @"
    error: the key `node` is there twice
      --> syncline.yaml:3:1
       |
     3 | node: { name: b }
       | ^^^^
      = help: remove one of them, or merge what is below
    ");
    assert_snapshot!(refusal(&target("remote: disk\nremote: disk")), @"
    error: the key `remote` is there twice
      --> syncline.yaml:7:5
       |
     7 |     remote: disk
       |     ^^^^^^
      = help: remove one of them, or merge what is below
    ");
    assert_snapshot!(refusal("version: \"1.0\"\ntargets:\n\ta: {}\n"), @"
    error: tabs disallowed within this context (block indentation)
      --> syncline.yaml:3:2
       |
     3 |  a: {}
       |  ^
      = help: YAML is indented with spaces; replace the tab
    ");
    assert_snapshot!(refusal("version: \"1.0\"\nnode:\n  name: \"open\n"), @r#"
    error: invalid indentation in multiline quoted scalar
      --> syncline.yaml:3:14
       |
     3 |   name: "open
       |              ^
      = help: is a closing quote missing?
    "#);
    assert_snapshot!(refusal("version: \"1.0\"\nnode: { name: a\n"), @"
    error: unclosed bracket '{'
      --> syncline.yaml:2:7
       |
     2 | node: { name: a
       |       ^
    ");
    assert_snapshot!(refusal("version: \"1.0\"\n  node: {}\n"), @"
    error: while parsing a block mapping, did not find expected key
      --> syncline.yaml:2:3
       |
     2 |   node: {}
       |   ^
    ");
    assert_snapshot!(refusal("version: \"1.0\"\nnode: *nobody\n"), @r#"
    error: the alias names an anchor that does not exist
      --> syncline.yaml:2:7
       |
     2 | node: *nobody
       |       ^
      = help: in YAML a `*` begins an alias; a pattern that begins with it is put in quotes: "*.tmp"
    "#);
    assert_snapshot!(refusal(&target("remote: disk\ninclude: [*.tmp]")), @r#"
    error: the alias names an anchor that does not exist
      --> syncline.yaml:7:15
       |
     7 |     include: [*.tmp]
       |               ^
      = help: in YAML a `*` begins an alias; a pattern that begins with it is put in quotes: "*.tmp"
    "#);
    assert_snapshot!(refusal(&target("remote: disk\nexclude: [ * ]")), @r#"
    error: while scanning an anchor or alias, did not find expected alphabetic or numeric character
      --> syncline.yaml:7:16
       |
     7 |     exclude: [ * ]
       |                ^
      = help: in YAML a `*` begins an alias and a `&` an anchor; text that begins with one is put in quotes: "*"
    "#);
    assert_snapshot!(refusal("a: &a { x: 1 }\nb: { <<: *a }\n"), @"
    error: merge keys (`<<`) are not supported
      --> syncline.yaml:2:6
       |
     2 | b: { <<: *a }
       |      ^^
      = help: write the keys out; aliases (`*name`) for whole values work
    ");
    assert_snapshot!(refusal("version: \"1.0\"\n---\nversion: \"1.0\"\n"), @r#"
    error: the file holds more than one document
      --> syncline.yaml:3:1
       |
     3 | version: "1.0"
       | ^
      = help: remove the `---` line
    "#);
    assert_snapshot!(refusal("? [a, b]\n: c\n"), @"
    error: a list or a mapping cannot be a key
      --> syncline.yaml:1:3
       |
     1 | ? [a, b]
       |   ^
      = help: put the key in quotes
    ");
    assert_snapshot!(refusal("version: !custom \"1.0\"\nnode: !!int x\n"), @r#"
    error: tags (`!name`) are not supported
      --> syncline.yaml:1:18
       |
     1 | version: !custom "1.0"
       |                  ^^^^^
    "#);
}

#[test]
fn independent_errors_come_together_and_in_order() {
    let text = target("remote: dsk\npath: ../x\ninclude: [\"a[\"]")
        + "  other: { remote: disk, guard: { sentinel: /x } }\n";
    let errors = load(&text).unwrap_err();
    let codes: Vec<&str> = errors.iter().map(|error| error.code).collect();
    assert_eq!(codes, ["unknown_endpoint", "path_escapes", "bad_glob", "bad_path"]);
}

#[test]
fn long_lines_are_cropped_around_the_trouble() {
    let exclude = vec!["\"some/long/pattern/*\""; 20].join(", ");
    assert_snapshot!(refusal(&target(&format!("{{ remote: disk, exclude: [{exclude}], drection: pull, path: x }}"))), @r#"
    error: unknown key `drection` in targets.notes
      --> syncline.yaml:6:492
       |
     6 | ong/pattern/*", "some/long/pattern/*"], drection: pull, path: x }
       |                                         ^^^^^^^^
      = help: did you mean `direction`?
    "#);
}

#[test]
fn targets_that_wait_for_nobody_or_for_each_other() {
    let waiting = target("remote: disk\ntriggers: { after: [photos, reops] }")
        + "  photos: { remote: disk, path: photos }\n  repos: { remote: disk, path: repos }\n";
    assert_snapshot!(refusal(&waiting), @"
    error: there is no target `reops` to wait for
      --> syncline.yaml:7:33
       |
     7 |     triggers: { after: [photos, reops] }
       |                                 ^^^^^
      = help: did you mean `repos`?
    ");
    let circle = target("remote: disk\ntriggers: { after: [photos] }")
        + "  photos: { remote: disk, path: photos, triggers: { after: [notes] } }\n";
    assert_snapshot!(refusal(&circle), @"
    error: targets wait for each other: notes -> photos -> notes
      --> syncline.yaml:7:25
       |
     7 |     triggers: { after: [photos] }
       |                         ^^^^^^
      = help: none of them could ever go first; take one of these names out of `after`
    ");
}

#[test]
fn times_that_cannot_be_understood() {
    let window = "windows:\n  - { days: mon-fry, from: \"24:00\", to: \"6\", timezone: Europe/Berln }";
    let errors =
        load(&target(&format!("remote: disk\ntimezone: Mars\njitter: often\n{window}"))).unwrap_err();
    let codes: Vec<&str> = errors.iter().map(|error| error.code).collect();
    assert_eq!(codes, ["bad_timezone", "bad_value", "bad_value", "bad_value", "bad_value", "bad_timezone"]);
    assert_snapshot!(refusal(&target("remote: disk\ntimezone: Europe/Berln")), @"
    error: there is no time zone `Europe/Berln`
      --> syncline.yaml:7:15
       |
     7 |     timezone: Europe/Berln
       |               ^^^^^^^^^^^^
      = help: use a name of the IANA database, such as `Europe/Berlin`, or `UTC`
    ");
    assert_snapshot!(refusal(&target("remote: disk\nschedule: \"0 0 31 2 *\"")), @r#"
    error: the schedule `0 0 31 2 *` never comes
      --> syncline.yaml:7:15
       |
     7 |     schedule: "0 0 31 2 *"
       |               ^^^^^^^^^^^^
      = help: no month that it names has such a day: `0 0 L * *` is the last day of each
    "#);
    assert_snapshot!(refusal(&target("remote: disk\nwindows: [{ days: mon-fry, from: \"22:00\", to: \"06:00\" }]")), @r#"
    error: `mon-fry` cannot be understood
      --> syncline.yaml:7:23
       |
     7 |     windows: [{ days: mon-fry, from: "22:00", to: "06:00" }]
       |                       ^^^^^^^
      = help: write days and ranges of them, such as `mon-fri` or `sat,sun`
    "#);
}

#[test]
fn addresses_and_hosts_that_cannot_be_understood() {
    let serve = "serve:\n  listen: localhost:8080\n  hosts: [\"https://sync.example.org\"]\n  body_max: much\n  body_time: 0s\n";
    let errors = load(&(target("remote: disk") + serve)).unwrap_err();
    let codes: Vec<&str> = errors.iter().map(|error| error.code).collect();
    assert_eq!(codes, ["bad_address", "bad_host", "bad_value", "bad_value"]);
    assert_snapshot!(refusal(&(target("remote: disk") + "serve: { listen: \"8080\" }\n")), @r#"
    error: `8080` is no address to listen to
      --> syncline.yaml:7:18
       |
     7 | serve: { listen: "8080" }
       |                  ^^^^^^
      = help: write an IP address and a port, such as 127.0.0.1:8080 or "[::1]:8080"
    "#);
}

#[test]
fn times_that_heartbeats_cannot_keep_to() {
    let peers = |times: &str| {
        let nodes = "nodes: { chad: { key: \"${env:KEY}\" } }";
        format!("{}peers: {{ {times}, {nodes} }}\n", target("remote: disk"))
    };
    assert_snapshot!(refusal(&peers("every: 3s, down_after: 15s")), @r#"
    error: `3s` is too short a time between two heartbeats
      --> syncline.yaml:7:17
       |
     7 | peers: { every: 3s, down_after: 15s, nodes: { chad: { key: "${env:KEY}" } } }
       |                 ^^
      = help: write `15s` or more: the copies of one alone take 13 seconds

    error: `15s` is too short for a peer to count as down
      --> syncline.yaml:7:33
       |
     7 | peers: { every: 3s, down_after: 15s, nodes: { chad: { key: "${env:KEY}" } } }
       |                                 ^^^
      = help: write `30s` or more: twice `every`, so that one that is lost is no outage
    "#);
    let default = refusal(&peers("every: 5m"));
    assert!(default.contains("`3m` is too short") && default.contains("write `600s` or more"), "{default}");
    assert!(load(&peers("every: 15s, down_after: 30s")).is_ok());
}
