//! Evicted clients and reserved descriptors.
use super::*;

#[test]
fn the_longest_idle_client_is_evicted_first_and_none_that_waits_for_an_answer() {
    let limit = ClientLimit::new(Bounds { clients: 3, reserved: 1 });
    let acquire = || limit.acquire();
    let clients: Vec<ClientPermit> = (0..3).map(|_| acquire().0.unwrap()).collect();
    clients[0].set(Activity::Waiting);
    clients[0].set(Activity::Idle);
    let (fourth, evicted) = acquire();
    assert!(evicted && clients[1].evicted.is_set(), "the second has been idle for longest");
    let fourth = fourth.unwrap();
    clients[2].set(Activity::SendingRequest);
    clients[0].set(Activity::Waiting);
    fourth.set(Activity::Waiting);
    let fifth = acquire().0.unwrap();
    assert!(clients[2].evicted.is_set(), "one that sends slowly goes when none is idle");
    fifth.set(Activity::ReadingAnswer);
    let health = acquire().0.unwrap();
    assert!(health.reserved && !fifth.reserved);
    health.set(Activity::Waiting);
    assert!(acquire().0.is_none(), "all are being answered");
    health.set(Activity::ReadingAnswer);
    let (next, evicted) = acquire();
    assert!(next.unwrap().reserved && evicted && health.evicted.is_set());
    assert!(![&clients[0], &fourth, &fifth].iter().any(|permit| permit.evicted.is_set()));
    assert!(limit.evict_any() && fifth.evicted.is_set());
    drop((clients, fourth, fifth, health));
    assert_eq!(limit.len(), 0);
}

#[test]
fn clients_leave_the_engine_its_descriptors() {
    let clients = |limit| Bounds::for_descriptors(limit).clients;
    assert_eq!((clients(None), clients(Some(65_536))), (SERVE_CLIENTS_MAX, SERVE_CLIENTS_MAX));
    assert_eq!(clients(Some(256)), 64);
    for limit in [0, 1, 128, 200, 512, 1024] {
        let Bounds { clients, reserved } = Bounds::for_descriptors(Some(limit));
        assert!(clients >= SERVE_CLIENTS_MIN && reserved >= 1, "{limit}");
        assert!(limit < 256 || clients + reserved <= limit as usize / 2, "{limit}");
    }
}
