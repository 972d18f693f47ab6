//! Order of removal.
use super::*;

#[test]
fn the_oldest_files_leave_first_and_the_open_one_stays() {
    let file = |number: u64| Stored {
        path: number.to_string().into(),
        bytes: 10,
        from: 100 * number,
        to: 100 * number + 50,
    };
    let removed = |retention: Retention, open_bytes: u64| -> Vec<String> {
        let chosen = retention.choose((1..=4).map(file).collect(), open_bytes, 500);
        chosen.iter().map(|(file, _)| file.path.display().to_string()).collect()
    };
    let (days, room) = (|ns| Some(ns), |bytes| Some(bytes));
    assert!(removed(Retention::default(), 100).is_empty());
    assert_eq!(removed(Retention { ns: days(200), bytes: None }, 5), ["1", "2"]);
    assert_eq!(removed(Retention { ns: None, bytes: room(45) }, 5), Vec::<String>::new());
    assert_eq!(removed(Retention { ns: None, bytes: room(30) }, 5), ["1", "2"]);
    assert_eq!(removed(Retention { ns: days(300), bytes: room(15) }, 5), ["1", "2", "3"]);
    assert_eq!(removed(Retention { ns: None, bytes: room(1) }, 5), ["1", "2", "3", "4"]);
}
