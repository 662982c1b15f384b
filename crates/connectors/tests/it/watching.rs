//! Watching folders: whoever looks at a folder hears of it, however many look, and by whatever path.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::time::{Duration, Instant};

use syncline_connect::{Endpoint as _, WatchEvent, Watcher};
use syncline_core::Filter;

use crate::support::Folder;

/// After this, what is waited for does not come.
const PATIENCE: Duration = Duration::from_secs(60);

fn watch(folder: &Folder) -> Watcher {
    let filter = Filter::new(&[], &[], None, Vec::new()).unwrap();
    folder.endpoint.watch().unwrap().start(Arc::new(filter)).unwrap()
}

/// What is heard up to an event, which is the last of it.
async fn heard_until(watcher: &mut Watcher, last: impl Fn(&WatchEvent) -> bool) -> Vec<WatchEvent> {
    let mut heard = Vec::new();
    loop {
        match tokio::time::timeout(PATIENCE, watcher.events.recv()).await {
            Ok(Some(event)) => heard.push(event),
            _ => panic!("it never came; what came is {heard:?}"),
        }
        if heard.last().is_some_and(&last) {
            return heard;
        }
    }
}

/// The paths that are heard of, up to one.
async fn paths_until(watcher: &mut Watcher, last: &str) -> Vec<String> {
    let is_it = |event: &WatchEvent| matches!(event, WatchEvent::Changed(path) if path.as_str() == last);
    let heard = heard_until(watcher, is_it).await.into_iter();
    heard
        .map(|event| match event {
            WatchEvent::Changed(path) => path.as_str().to_owned(),
            other => panic!("{other:?}"),
        })
        .collect()
}

/// Writes a file again and again until that is heard: what lies in a directory that appeared is heard of one by one from
/// some moment on, and before that by the name of the directory.
async fn write_until_heard(folder: &Folder, watcher: &mut Watcher, path: &str) {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        folder.put(path, b"new");
        let heard = tokio::time::timeout(Duration::from_millis(200), paths_until(watcher, path));
        if heard.await.is_ok() {
            return;
        }
    }
    panic!("{path} is written, and nobody hears of it");
}

#[tokio::test]
async fn more_folders_are_watched_than_linux_gives_instances_to_a_user() {
    let folders: Vec<Folder> = std::iter::repeat_with(Folder::new).take(200).collect();
    let mut watchers: Vec<Watcher> = folders.iter().map(watch).collect();
    for (index, folder) in folders.iter().enumerate() {
        folder.put(&format!("file-{index}"), b"new");
    }
    for (index, watcher) in watchers.iter_mut().enumerate() {
        let name = format!("file-{index}");
        let paths = paths_until(watcher, &name).await;
        assert!(
            paths.iter().all(|path| *path == name),
            "only what is in the folder itself is heard: {paths:?}"
        );
    }
}

#[tokio::test]
async fn a_folder_that_several_look_at_is_heard_by_all_of_them() {
    let outer = Folder::new();
    outer.put("inner/deep/file", b"old");
    symlink(outer.path("inner"), outer.path("link")).unwrap();
    // By its own path, and by that of a link, which is another name of the same directory.
    let [inner, linked] = ["inner/deep", "link/deep"].map(|path| Folder::at(&outer.path(path)));
    let (mut all, mut one, mut other) = (watch(&outer), watch(&inner), watch(&linked));
    outer.put("inner/deep/file", b"new");
    paths_until(&mut all, "inner/deep/file").await;
    paths_until(&mut one, "file").await;
    paths_until(&mut other, "file").await;
    drop(one);
    drop(all);
    write_until_heard(&linked, &mut other, "made/later").await;
}

#[tokio::test]
async fn what_is_moved_is_heard_by_its_new_name_and_by_no_other() {
    let (folder, elsewhere) = (Folder::new(), Folder::new());
    folder.put("old/deep/file", b"old");
    folder.put("given/deep/file", b"old");
    let (mut watcher, mut other) = (watch(&folder), watch(&elsewhere));
    fs::rename(folder.path("old"), folder.path("renamed")).unwrap();
    paths_until(&mut watcher, "renamed").await;
    fs::rename(folder.path("given"), elsewhere.path("taken")).unwrap();
    paths_until(&mut watcher, "given").await;
    paths_until(&mut other, "taken").await;
    folder.put("renamed/deep/file", b"new");
    elsewhere.put("taken/deep/file", b"new");
    folder.put("end", b"");
    assert!(
        paths_until(&mut watcher, "renamed/deep/file").await.iter().all(|path| !path.starts_with("old/"))
    );
    assert!(paths_until(&mut watcher, "end").await.iter().all(|path| !path.starts_with("given")));
    paths_until(&mut other, "taken/deep/file").await;
}

#[tokio::test]
async fn a_directory_that_takes_the_place_of_another_is_heard() {
    let folder = Folder::new();
    folder.put("place/file", b"old");
    let mut watcher = watch(&folder);
    for round in 0..20 {
        fs::remove_dir_all(folder.path("place")).unwrap();
        folder.put(&format!("end-{round}"), b"");
        paths_until(&mut watcher, &format!("end-{round}")).await;
        write_until_heard(&folder, &mut watcher, &format!("place/deep/file-{round}")).await;
    }
}

#[tokio::test]
async fn a_root_that_is_moved_away_is_told_of() {
    let folder = Folder::new();
    let mut watcher = watch(&folder);
    fs::rename(folder.path(""), folder.path("../moved")).unwrap();
    heard_until(&mut watcher, |event| *event == WatchEvent::Overflow).await;
}
