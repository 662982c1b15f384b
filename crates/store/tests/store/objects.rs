//! The content store.

use std::fs::{self, File};
use std::io::{Cursor, Read, Write};
use std::path::PathBuf;

use proptest::prelude::*;
use syncline_core::Digest;
use syncline_store::{ErrorKind, Objects, Store};

struct Scene {
    folder: tempfile::TempDir,
    store: Store,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("state")).await.unwrap();
        Self { folder, store }
    }

    fn objects(&self) -> &Objects {
        self.store.objects()
    }

    fn stored(&self, digest: &Digest) -> (PathBuf, bool) {
        let hex = digest.to_string();
        let raw = self.folder.path().join("state/objects").join(&hex[..2]).join(&hex[2..]);
        if raw.exists() { (raw, false) } else { (raw.with_extension("zst"), true) }
    }

    fn temporary_files(&self) -> usize {
        fs::read_dir(self.folder.path().join("state/objects/tmp")).unwrap().count()
    }
}

fn read(objects: &Objects, digest: &Digest) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    objects.open(digest).unwrap().read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Bytes that do not compress.
fn noise(count: usize) -> Vec<u8> {
    let mut reader = Vec::with_capacity(count + 32);
    let mut block = Digest::of(b"noise");
    while reader.len() < count {
        reader.extend_from_slice(&block.0);
        block = Digest::of(&block.0);
    }
    reader.truncate(count);
    reader
}

#[tokio::test]
async fn contents_come_back_however_they_were_put() {
    let scene = Scene::new().await;
    let text = b"the same line again and again\n".repeat(20_000);
    for bytes in [&b""[..], b"x", &text[..4095], &text[..4096], &text[..65_536], &text, &noise(300_000)] {
        let digest = scene.objects().put(bytes).unwrap();
        assert_eq!(digest, Digest::of(bytes));
        let streamed = scene.objects().put_reader(&mut Cursor::new(bytes), Some(digest)).unwrap();
        assert_eq!(streamed, (digest, bytes.len() as u64));
        assert_eq!(read(scene.objects(), &digest).unwrap(), bytes);
        assert_eq!(scene.objects().size(&digest).unwrap(), bytes.len() as u64);
        assert!(scene.objects().verify(&digest).unwrap());
        scene.objects().sync().unwrap();
        let compressed = scene.stored(&digest).1;
        assert_eq!(compressed, bytes.len() >= 4096 && bytes[0] == b't', "{} bytes", bytes.len());
        assert!(scene.objects().remove(&digest).unwrap());
        assert!(!scene.objects().contains(&digest));
        let streamed = scene.objects().put_reader(&mut Cursor::new(bytes), None).unwrap();
        assert_eq!(streamed, (digest, bytes.len() as u64));
        assert_eq!(read(scene.objects(), &digest).unwrap(), bytes);
        assert_eq!(scene.objects().size(&digest).unwrap(), bytes.len() as u64);
    }
    assert_eq!(scene.objects().total().unwrap().count, 7);
    assert_eq!(scene.temporary_files(), 0);
}

#[tokio::test]
async fn unexpected_content_is_refused_and_leaves_nothing() {
    let scene = Scene::new().await;
    let expected = Digest::of(b"expected");
    for bytes in [b"other".to_vec(), noise(200_000)] {
        let refused = scene.objects().put_reader(&mut Cursor::new(&bytes), Some(expected)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Mismatch);
    }
    // Also when an object of the expected digest is there.
    let long = noise(200_001);
    let known = scene.objects().put(&long).unwrap();
    let refused = scene.objects().put_reader(&mut Cursor::new(noise(200_000)), Some(known)).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Mismatch);
    assert_eq!((scene.objects().total().unwrap().count, scene.temporary_files()), (1, 0));
}

struct Failing(usize);

impl Read for Failing {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.0.min(buffer.len());
        self.0 -= count;
        if count == 0 { Err(std::io::Error::other("the source broke")) } else { Ok(count) }
    }
}

#[tokio::test]
async fn a_failing_source_leaves_nothing() {
    let scene = Scene::new().await;
    for length in [0, 10, 100_000] {
        let error = scene.objects().put_reader(&mut Failing(length), None).unwrap_err();
        assert!(error.to_string().contains("the source broke"), "{error}");
    }
    assert_eq!((scene.objects().total().unwrap().count, scene.temporary_files()), (0, 0));
}

#[tokio::test]
async fn a_damaged_object_is_noticed_and_replaced() {
    let scene = Scene::new().await;
    let text = b"the same line again and again\n".repeat(400);
    for bytes in [b"short".to_vec(), text, noise(100_000)] {
        let digest = scene.objects().put(&bytes).unwrap();
        let (file, _) = scene.stored(&digest);
        let sound = fs::read(&file).unwrap();
        let step = (sound.len() / 50).max(1);
        let flips = (0..sound.len()).step_by(step).map(|at| {
            let mut damaged = sound.clone();
            damaged[at] ^= 0x10;
            damaged
        });
        let cuts = (0..sound.len()).step_by(step).map(|at| sound[..at].to_vec());
        let zeroes = [vec![0; sound.len()], [&sound[..], b"more"].concat()];
        for damaged in flips.chain(cuts).chain(zeroes) {
            fs::write(&file, &damaged).unwrap();
            // A flip that a decoder never looks at may leave the content as it was.
            let opened = scene.objects().open(&digest).map_err(|error| error.kind());
            let content = opened.map(|mut reader| {
                let mut all = Vec::new();
                reader.read_to_end(&mut all).map(|_| all)
            });
            let sound_content = matches!(&content, Ok(Ok(content)) if *content == bytes);
            assert!(sound_content || matches!(content, Ok(Err(_)) | Err(ErrorKind::Damaged)), "{content:?}");
            assert_eq!(scene.objects().verify(&digest).unwrap(), sound_content);
        }
        scene.objects().put(&bytes).unwrap();
        assert_eq!(read(scene.objects(), &digest).unwrap(), bytes);
        fs::write(&file, b"").unwrap();
        scene.objects().put_reader(&mut Cursor::new(&bytes), Some(digest)).unwrap();
        assert_eq!(read(scene.objects(), &digest).unwrap(), bytes);
    }
}

#[tokio::test]
async fn opening_removes_only_abandoned_temporary_files() {
    let scene = Scene::new().await;
    let folder = scene.folder.path().join("state/objects/tmp");
    fs::write(folder.join("abandoned"), b"x").unwrap();
    let mut busy = File::create(folder.join("busy")).unwrap();
    busy.lock().unwrap();
    let _second = Store::open(&scene.folder.path().join("state")).await.unwrap();
    busy.write_all(b"still here").unwrap();
    assert!(folder.join("busy").exists() && !folder.join("abandoned").exists());
}

#[tokio::test]
async fn a_missing_object_is_not_found() {
    let scene = Scene::new().await;
    let digest = Digest::of(b"nothing");
    assert_eq!(scene.objects().open(&digest).err().unwrap().kind(), ErrorKind::NotFound);
    assert_eq!(scene.objects().size(&digest).unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!scene.objects().verify(&digest).unwrap() && !scene.objects().remove(&digest).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn any_content_survives(bytes in prop::collection::vec(any::<u8>(), 0..3000), times in 1_usize..80) {
        let bytes = bytes.repeat(times);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let scene = Scene::new().await;
            let (digest, size) = scene.objects().put_reader(&mut Cursor::new(&bytes), None).unwrap();
            assert_eq!(size, bytes.len() as u64);
            assert_eq!(read(scene.objects(), &digest).unwrap(), bytes);
        });
    }
}
