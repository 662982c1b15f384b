//! Markers, and the way back.

use syncline_core::merge::{
    Input, Labels, Merged, Strategy, Unclean, has_open_markers, is_binary, merge, take_from_markers,
};

use super::{clean, each_seed, input, random_text, random_versions, run, unclean};

#[track_caller]
fn marked(base: Option<&str>, local: &str, remote: &str) -> String {
    let labels = Labels { base: "agreed", local: "local (helios)", remote: "remote (chad)" };
    match merge(&Strategy::Markers, &input(base, local, remote), &labels) {
        Merged::Marked { bytes, .. } => String::from_utf8(bytes).unwrap(),
        other => panic!("not marked: {other:?}"),
    }
}

#[test]
fn an_overlap_is_marked() {
    let expected = "title\n<<<<<<< local (helios)\nmilk\n||||||| agreed\ntea\n=======\ncoffee\n>>>>>>> remote (chad)\nend\n";
    assert_eq!(marked(Some("title\ntea\nend\n"), "title\nmilk\nend\n", "title\ncoffee\nend\n"), expected);
}

#[test]
fn what_does_not_meet_is_merged_without_markers() {
    assert_eq!(clean(&Strategy::Markers, Some("a\nb\nc\n"), "A\nb\nc\n", "a\nb\nC\n"), "A\nb\nC\n");
}

#[test]
fn beside_an_overlap_every_difference_is_marked() {
    let text = marked(Some("1\n2\n3\n4\n"), "x\n2\n3\n4\n", "y\n2\n3\nend\n");
    let taken = take_from_markers(text.as_bytes()).unwrap();
    assert_eq!(taken.hunks, 2);
    assert_eq!(taken.local, b"x\n2\n3\n4\n");
    assert_eq!(taken.remote, b"y\n2\n3\nend\n");
    assert_eq!(taken.base.unwrap(), b"1\n2\n3\n4\n");
}

#[test]
fn without_a_base_there_is_no_section_for_it() {
    let text = marked(None, "title\na\n", "title\nb\n");
    assert_eq!(text, "title\n<<<<<<< local (helios)\na\n=======\nb\n>>>>>>> remote (chad)\n");
    assert_eq!(take_from_markers(text.as_bytes()).unwrap().base, None);
}

#[test]
fn a_missing_last_line_break_is_told_and_taken_back() {
    let text = marked(Some("a"), "b", "c\n");
    let expected = "<<<<<<< local (helios)\nb\n||||||| agreed\na\n=======\nc\n>>>>>>> remote (chad) (no final newline: local, base)\n";
    assert_eq!(text, expected);
    let taken = take_from_markers(text.as_bytes()).unwrap();
    assert_eq!((taken.local, taken.remote), (b"b".to_vec(), b"c\n".to_vec()));
}

#[test]
fn markers_follow_the_line_breaks_and_the_byte_order_mark() {
    let text = marked(Some("\u{feff}a\r\n"), "\u{feff}b\r\n", "\u{feff}c\r\n");
    let expected = "\u{feff}<<<<<<< local (helios)\r\nb\r\n||||||| agreed\r\na\r\n=======\r\nc\r\n>>>>>>> remote (chad)\r\n";
    assert_eq!(text, expected);
    assert!(has_open_markers(text.as_bytes()));
    assert_eq!(take_from_markers(text.as_bytes()).unwrap().local, "\u{feff}b\r\n".as_bytes());
}

#[test]
fn markers_grow_beyond_what_looks_like_one() {
    let text = marked(Some("Heading\n=======\na\n"), "Heading\n=======\nb\n", "Heading\n=======\nc\n");
    assert!(text.contains("\n<<<<<<<< local") && text.contains("\n========\n"), "{text}");
    assert_eq!(take_from_markers(text.as_bytes()).unwrap().remote, b"Heading\n=======\nc\n");
}

#[test]
fn a_label_cannot_break_the_form() {
    let labels = Labels {
        base: "a\n=======",
        local: "\u{0}",
        remote: "x (no final newline: (no final newline: local)",
    };
    let versions = input(Some("a\n"), "b\n", "c\n");
    let Merged::Marked { bytes, hunks: 1 } = merge(&Strategy::Markers, &versions, &labels) else { panic!() };
    let taken = take_from_markers(&bytes).unwrap();
    assert_eq!((taken.local.as_slice(), taken.remote.as_slice()), (versions.local, versions.remote));
}

#[test]
fn open_markers_are_never_merged_again() {
    let open = marked(Some("a\n"), "b\n", "c\n");
    for strategy in
        [Strategy::Text, Strategy::Markers, Strategy::Json { key: None }, Strategy::Union { key: None }]
    {
        let side = syncline_core::Side::Local;
        assert_eq!(unclean(&strategy, Some("a\n"), &open, "d\n"), Unclean::OpenMarkers { side });
        assert_eq!(unclean(&strategy, Some("a\n"), "d\n", &open).code(), "open_markers");
    }
    // A part that was settled is still open as long as another one is not.
    assert!(has_open_markers(format!("settled\n{open}").as_bytes()));
    for settled in [
        "",
        "a\n",
        "Heading\n=======\n",
        ">>>>>>> b\n<<<<<<< a\n",
        "x <<<<<<< a\n>>>>>>> b\n",
        "<<<<<<<a\n>>>>>>>b\n",
    ] {
        assert!(!has_open_markers(settled.as_bytes()), "{settled:?}");
        assert_eq!(take_from_markers(settled.as_bytes()), None, "{settled:?}");
    }
}

#[test]
fn what_git_wrote_is_read() {
    let git = b"same\n<<<<<<< HEAD\nours\n||||||| 1234567\nold\n=======\ntheirs\n>>>>>>> topic\n";
    let taken = take_from_markers(git).unwrap();
    assert_eq!(taken.local, b"same\nours\n");
    assert_eq!(taken.remote, b"same\ntheirs\n");
    assert_eq!(taken.base.unwrap(), b"same\nold\n");
    for broken in ["<<<<<<< a\nx\n", "<<<<<<< a\n=======\n=======\n>>>>>>> b\n", "<<<<<<< a\n>>>>>>> b\n"] {
        assert_eq!(take_from_markers(broken.as_bytes()), None, "{broken:?}");
    }
}

#[test]
fn markers_give_back_both_inputs() {
    each_seed("markers_give_back_both_inputs", |random| {
        let (base, local, remote) = if random.chance(70) {
            random_versions(random)
        } else {
            (random_text(random), random_text(random), random_text(random))
        };
        let base = random.chance(85).then_some(base);
        let versions = input(base.as_deref(), &local, &remote);
        match run(&Strategy::Markers, &versions) {
            Merged::Marked { bytes, hunks } => {
                let taken = take_from_markers(&bytes).unwrap();
                assert_eq!(String::from_utf8(taken.local).unwrap(), local);
                assert_eq!(String::from_utf8(taken.remote).unwrap(), remote);
                assert_eq!(taken.hunks, hunks);
                assert!(has_open_markers(&bytes));
                let again = Input { local: &bytes, ..versions };
                if again.local != again.remote && again.base != Some(again.remote) {
                    let Merged::Unclean(refused) = run(&Strategy::Markers, &again) else { panic!() };
                    assert_eq!(refused.code(), "open_markers");
                }
            }
            Merged::Clean { bytes, .. } => {
                if let Merged::Clean { bytes: plain, .. } = run(&Strategy::Text, &versions) {
                    assert_eq!(bytes, plain);
                } else {
                    panic!("text refuses what markers call clean");
                }
            }
            Merged::Unclean(unclean) => {
                assert_eq!(unclean.code(), "open_markers");
                assert!(has_open_markers(local.as_bytes()) || has_open_markers(remote.as_bytes()));
            }
        }
    });
}

#[test]
fn any_bytes_can_be_given_back() {
    each_seed("any_bytes_can_be_given_back", |random| {
        let alphabet = b"<<<<<<<=|>\n\n\r a\xef\xbb\xbf\xff";
        let mut bytes = || -> Vec<u8> {
            let count = random.below(60);
            let mut bytes: Vec<u8> = Vec::new();
            for _ in 0..count {
                let times = if random.chance(30) { 7 + random.below(2) } else { 1 };
                bytes.extend(std::iter::repeat_n(alphabet[random.below(alphabet.len())], times));
            }
            bytes
        };
        let (base, local, remote) = (bytes(), bytes(), bytes());
        assert!(!is_binary(&local));
        let versions = Input { base: Some(&base), local: &local, remote: &remote };
        if let Merged::Marked { bytes, .. } = run(&Strategy::Markers, &versions) {
            let taken = take_from_markers(&bytes).unwrap();
            assert_eq!((taken.local, taken.remote), (local.clone(), remote.clone()));
        }
    });
}
