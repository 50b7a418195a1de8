//! The example does what it says, to guests that guess.

use auth_service::{
    Auth, INTERFACE, KEY_BYTES_MAX, KEY_BYTES_MIN, STORE_FAILURES_MAX, USER_FAILURES_MAX, USERS_MAX, UserError,
};
use isorun::{InstanceHandle, Runtime, Val};

const APP: &[u8] = include_bytes!("../auth-app.wasm");
const KEY: &str = "correct horse battery";

const OK: u32 = 0;
const BAD: u32 = 1;
const LOCKED: u32 = 2;

fn service() -> Auth {
    let auth = Auth::new();
    auth.add_user("ada", KEY).unwrap();
    auth
}

/// A guest of that service.
async fn guest(auth: &Auth) -> InstanceHandle {
    let runtime = Runtime::new().unwrap();
    let app = runtime.load(APP).unwrap();
    runtime.builder(&app).link_system(INTERFACE, auth.clone()).instantiate().await.unwrap()
}

async fn check(guest: &InstanceHandle, user: &str, key: &str, expected: u32) {
    let answer = guest.exec("try-login", &[Val::String(user.into()), Val::String(key.into())]).await.unwrap();
    assert_eq!(answer, [Val::U32(expected)]);
}

async fn who(guest: &InstanceHandle) -> Option<String> {
    match &guest.exec("who", &[]).await.unwrap()[..] {
        [Val::Option(None)] => None,
        [Val::Option(Some(name))] => match &**name {
            Val::String(name) => Some(name.clone()),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_committed_guest_is_its_source_compiled() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/auth-app.wat");
    assert_eq!(wat::parse_file(source).unwrap(), APP);
}

#[tokio::test]
async fn a_guest_acts_for_whom_it_has_the_key_of_and_other_guests_do_not() {
    let auth = service();
    let (one, two) = (guest(&auth).await, guest(&auth).await);
    assert_eq!(who(&one).await, None);
    check(&one, "ada", KEY, OK).await;
    assert_eq!(who(&one).await.as_deref(), Some("ada"));
    assert_eq!(who(&two).await, None);
    check(&one, "ada", "wrong", BAD).await;
    assert_eq!(who(&one).await, None, "who failed to become somebody is nobody");
}

#[tokio::test]
async fn a_wrong_key_and_an_unknown_user_are_told_the_same() {
    let guest = guest(&service()).await;
    check(&guest, "ada", "correct horse batterx", BAD).await;
    check(&guest, "bob", KEY, BAD).await;
    check(&guest, "", "", BAD).await;
    check(&guest, "ada", &"k".repeat(KEY_BYTES_MAX + 1), BAD).await;
}

#[tokio::test]
async fn a_guest_that_guesses_is_locked_out_and_others_are_not() {
    let auth = service();
    let (bad, good) = (guest(&auth).await, guest(&auth).await);
    for _ in 0..STORE_FAILURES_MAX {
        check(&bad, "ada", "guess", BAD).await;
    }
    check(&bad, "ada", "guess", LOCKED).await;
    check(&bad, "ada", KEY, LOCKED).await;
    check(&good, "ada", KEY, OK).await;
}

#[tokio::test]
async fn guesses_of_many_guests_lock_the_user_until_the_host_unlocks() {
    let auth = service();
    for _ in 0..USER_FAILURES_MAX / STORE_FAILURES_MAX {
        let guest = guest(&auth).await;
        for _ in 0..STORE_FAILURES_MAX {
            check(&guest, "ada", "guess", BAD).await;
        }
    }
    let guest = guest(&auth).await;
    check(&guest, "ada", KEY, BAD).await;
    assert!(auth.unlock("ada"));
    assert!(!auth.unlock("bob"));
    check(&guest, "ada", KEY, OK).await;
}

#[test]
fn keys_that_can_be_guessed_and_users_without_end_are_refused() {
    let auth = Auth::new();
    let key = |bytes: usize| "k".repeat(bytes);
    let refused = Err(UserError::KeyLength { bytes: KEY_BYTES_MIN - 1 });
    assert_eq!(auth.add_user("ada", &key(KEY_BYTES_MIN - 1)), refused);
    assert_eq!(auth.add_user("ada", &key(KEY_BYTES_MIN)), Ok(()));
    assert_eq!(auth.add_user("ada", &key(KEY_BYTES_MAX)), Ok(()));
    assert!(auth.add_user("ada", &key(KEY_BYTES_MAX + 1)).is_err());
    assert_eq!(auth.add_user("", KEY), Err(UserError::NameLength { bytes: 0 }));
    for at in 1..USERS_MAX {
        auth.add_user(&at.to_string(), KEY).unwrap();
    }
    assert_eq!(auth.add_user("one more", KEY), Err(UserError::Full));
    assert_eq!(auth.add_user("ada", KEY), Ok(()), "a user who is there gets a new key");
}

#[test]
fn what_is_printed_for_people_holds_no_key_and_no_name() {
    assert_eq!(format!("{:?}", service()), "Auth { users: 1, .. }");
}
