//! Files that are something else, or were damaged.

use std::fs::File;

use aws_lc_rs::digest;

use super::*;

/// Opens and uses the file. Whatever it holds, this ends.
async fn tried(harness: &Harness, keys: &[SessionKey]) -> Result<usize, DiskError> {
    let store = harness.try_open(&[[7; 32]]).await?;
    let mut read = 0;
    for key in keys {
        read += usize::from(store.get(key).await.is_ok_and(|found| found.is_some()));
        let _ = store.touch(key, harness.clock.now()).await;
    }
    let _ = store.claim_due(10, MINUTE).await;
    let _ = store.overdue(10).await;
    let _ = store.insert(harness.draw("bob", Due::Never)).await;
    let _ = store.flush().await;
    Ok(read)
}

#[tokio::test]
async fn a_file_that_is_something_else_is_refused_and_left_alone() {
    for content in [b"hunter2".to_vec(), vec![0xff; 100_000]] {
        let harness = Harness::new();
        fs::write(harness.file(), &content).unwrap();
        let told = tried(&harness, &[]).await.unwrap_err().told();
        assert!(
            told.contains("move it away") && !told.contains("hunter2"),
            "{told}"
        );
        assert_eq!(fs::read(harness.file()).unwrap(), content);
    }
}

#[tokio::test]
async fn a_file_that_was_cut_short_is_refused() {
    let harness = Harness::new();
    drop(harness.open().await);
    let file = File::options().write(true).open(harness.file()).unwrap();
    file.set_len(harness.file().metadata().unwrap().len() / 2)
        .unwrap();
    let told = tried(&harness, &[]).await.unwrap_err().told();
    assert!(told.contains("move it away"), "{told}");
}

#[tokio::test]
async fn changed_bytes_bring_nothing_down() {
    let harness = Harness::new();
    let store = harness.open().await;
    let now = Due::At(harness.clock.now());
    let keys = future::join_all((0..50).map(|_| harness.login(&store, "alice", now))).await;
    drop(store);
    let whole = fs::read(harness.file()).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap();
    let (mut intact, mut hurt) = (0, 0);
    for round in 0_u32..60 {
        let mut content = whole.clone();
        // Somewhere else each time, and at the same places in each run.
        for place in 0_u8..8 {
            let digest = digest::digest(&digest::SHA256, &[&round.to_be_bytes()[..], &[place]].concat());
            let at = u64::from_be_bytes(*digest.as_ref().first_chunk().unwrap());
            content[usize::try_from(at).unwrap() % used] ^= 0x55;
        }
        fs::write(harness.file(), content).unwrap();
        match tried(&harness, &keys).await {
            Ok(read) if read == keys.len() => intact += 1,
            _ => hurt += 1,
        }
    }
    assert!(intact > 0 && hurt > 0, "{intact} {hurt}");
}
