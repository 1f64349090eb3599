//! What a repository keeps in memory, and what it lets go.

use serde_json::json;

use super::*;
use crate::change::Precondition;
use crate::event::Actor;

fn repository() -> (tempfile::TempDir, Repository) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.git");
    let clock: Clock = Arc::new(|| Timestamp::from_second(1_700_000_000).unwrap());
    let repository = Repository::open_or_create(&path, clock).unwrap();
    (folder, repository)
}

fn apply(repository: &Repository, group: &str, operation: Operation) {
    let change = Change {
        group: group.parse().unwrap(),
        operation,
        actor: Actor::named("ana"),
        request_id: "one".to_owned(),
        reason: None,
        precondition: Precondition::default(),
    };
    repository.apply(change).unwrap();
}

#[test]
fn of_groups_that_are_gone_nothing_is_kept() {
    let (_folder, repository) = repository();
    let kept = || repository.shared.cache.groups();
    let before = kept();
    for number in 0..3 {
        let group = format!("edge-{number}");
        apply(&repository, &group, Operation::CreateGroup { document: json!({}) });
        repository.services(&group.parse().unwrap()).unwrap();
        assert_eq!(kept().len(), before.len() + 1);
        apply(&repository, &group, Operation::DeleteGroup);
        assert_eq!(kept(), before);
    }
}

#[test]
fn who_needs_the_same_configuration_shares_it() {
    let (_folder, repository) = repository();
    let group = "test".parse().unwrap();
    // Long enough to load that those who come at once meet.
    let routes: serde_json::Map<_, _> =
        (0..500).map(|n| (format!("r-{n}"), json!({"paths": [format!("/{n}")]}))).collect();
    let document = json!({ "routes": routes });
    let service = "a".parse().unwrap();
    apply(&repository, "test", Operation::PutService { service, document });
    let clock = Arc::clone(&repository.shared.clock);
    let cold = Repository::open_beside(repository.path(), clock).unwrap();
    let together = std::sync::Barrier::new(8);
    let load = || {
        let read = |desk: &Desk<'_>| {
            let head = desk.head(&group)?;
            together.wait();
            Ok(desk.loaded(&group, head)?)
        };
        cold.read(read).unwrap()
    };
    let loaded: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(load)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(loaded.iter().all(|one| Arc::ptr_eq(one, &loaded[0])), "loaded once");
}

#[test]
fn handles_from_before_maintenance_do_not_rest() {
    let (_folder, repository) = repository();
    let shared = &repository.shared;
    let read_at_once =
        || shared.with_handle(|_| shared.with_handle(|_| shared.with_handle(|_| Ok(()))));
    let resting = || shared.handles.lock().unwrap().len();
    read_at_once().unwrap();
    assert_eq!(resting(), 3);
    read_at_once().unwrap();
    assert_eq!(resting(), 3, "they are used again");
    repository.maintain().unwrap();
    shared.with_handle(|_| Ok(())).unwrap();
    assert_eq!(resting(), 1, "the one that was opened anew");
    // One that is in use while maintenance runs does not come back.
    let maintained = |_: &git2::Repository| {
        repository.maintain().unwrap();
        Ok(())
    };
    shared.with_handle(maintained).unwrap();
    assert_eq!(resting(), 0);
}

#[test]
fn services_come_in_pages() {
    let (_folder, repository) = repository();
    let group = "test".parse().unwrap();
    for name in ["c", "a", "b"] {
        let service = name.parse().unwrap();
        apply(&repository, "test", Operation::PutService { service, document: json!({}) });
    }
    let page = |after, limit| {
        let (services, more) = repository.services_after(&group, after, limit).unwrap();
        (services.iter().map(|service| service.name.to_string()).collect::<Vec<_>>(), more)
    };
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    assert_eq!(page(None, 2), (names(&["a", "b"]), true));
    assert_eq!(page(Some("b"), 2), (names(&["c"]), false));
    assert_eq!(page(Some("aa"), 2), (names(&["b", "c"]), false));
    assert_eq!(page(Some("c"), 2), (names(&[]), false));
}
