//! Generated streams: the binary's books are the reference's, for every form and shard count.

use crate::binary;
use crate::compare::{self, Tolerance};
use crate::generate::{self, FORMS, Frame, PACKINGS, Stream};
use crate::reference::Reference;
use std::collections::BTreeSet;
use std::path::PathBuf;

const SEEDS: u64 = 40;
/// One shard, and one of these.
const SHARDS: [&str; 2] = ["2", "5"];

pub(crate) fn reference(stream: &Stream) -> Reference {
    Reference::of(stream.frames.iter().map(|f| &f.text))
}

/// One file or two, in the seed's form and packing.
pub(crate) fn files(stream: &Stream, seed: u64, folder: &std::path::Path) -> Vec<PathBuf> {
    let pick = usize::try_from(seed).unwrap();
    let form = FORMS[pick % FORMS.len()];
    let packing = PACKINGS[pick / FORMS.len() % PACKINGS.len()];
    let lines = generate::lines(form, stream.frames.iter().map(Frame::bytes));
    let parts = if seed % 5 == 4 { 2 } else { 1 };
    lines
        .chunks(lines.len().div_ceil(parts))
        .enumerate()
        .map(|(i, part)| generate::pack(folder, &format!("part{i}"), packing, part))
        .collect()
}

#[test]
fn generated_streams_replay_to_the_reference() {
    let folder = tempfile::tempdir().unwrap();
    let (mut failures, mut all) = (Vec::new(), BTreeSet::new());
    let mut books = 0;
    for seed in 0..SEEDS {
        let stream = generate::stream(seed);
        let reference = reference(&stream);
        let files = files(&stream, seed, folder.path());
        let mut reports = BTreeSet::new();
        for shards in ["1", SHARDS[usize::try_from(seed).unwrap() % SHARDS.len()]] {
            let run = binary::replay(&files, &["--shards", shards]);
            let wrong = compare::differences(&reference, &run.books, &Tolerance::default());
            failures.extend(wrong.iter().map(|w| format!("seed {seed} [{shards}]: {w}")));
            if run.report.errors != 0 || !run.status.success() {
                failures.push(format!("seed {seed} [{shards}]: {:?}", run.report));
            }
            reports.insert((run.report.digest, run.report.messages));
        }
        if reports.len() != 1 {
            failures.push(format!("seed {seed}: the shard count shows in {reports:?}"));
        }
        all.extend(reports);
        books += reference.books.len();
    }
    println!("{SEEDS} seeds, {books} books, {} digests", all.len());
    failures.iter_mut().for_each(|f| f.truncate(f.floor_char_boundary(2000)));
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert_eq!(all.len() as u64, SEEDS, "different streams, equal digests");
}

/// The generator covers every form, and its venue is consistent.
#[test]
fn generated_streams_cover_the_wire() {
    let mut sum = Reference::default();
    let (mut live, mut awaiting, mut texts, mut arrays, mut bytes) = (0, 0, 0, 0, 0);
    for seed in 0..SEEDS {
        let stream = generate::stream(seed);
        let reference = reference(&stream);
        for (token, book) in &reference.books {
            assert!(!book.suspect(), "seed {seed}: {token} is crossed or differs from its best");
            *(if book.snapshot.is_some() { &mut live } else { &mut awaiting }) += 1;
        }
        sum.applied += reference.applied;
        sum.late += reference.late;
        sum.early += reference.early;
        sum.optional.extend(reference.optional);
        texts += stream.frames.iter().filter(|f| !f.json).count();
        arrays += stream.frames.iter().filter(|f| f.text.trim_start().starts_with('[')).count();
        bytes += stream.frames.iter().map(|f| f.text.len()).sum::<usize>();
    }
    let Reference { applied, late, early, optional, .. } = &sum;
    println!("{applied} applied, {late} late, {early} early, {live} live, {awaiting} awaiting");
    println!("{} elsewhere, {texts} texts, {arrays} arrays, {bytes} bytes", optional.len());
    assert!(*applied > 5000 && *late > 50 && *early > 500 && live > 200 && awaiting > 50);
    assert!(optional.len() > 100 && texts > 50 && arrays > 100);
}
