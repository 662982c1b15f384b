//! Scrub finds content that changed although nobody wrote it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};

use crate::support::World;

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
