//! Tokens of each client.
use super::*;

#[test]
fn clients_have_neighbouring_tokens_and_share_all() {
    let tokens: Vec<String> = (0..10).map(|token| token.to_string()).collect();
    let of = |client, each| tokens_of(client, each, &tokens).cloned().collect::<Vec<_>>().join(" ");
    assert_eq!([of(0, 4), of(1, 4), of(2, 4)], ["0 1 2 3", "4 5 6 7", "8 9 0 1"]);
    assert_eq!(of(1, 10), "0 1 2 3 4 5 6 7 8 9");
    assert_eq!(of(3, 1), "2");
}
