//! What makes an acknowledged write survive: libgit2 flushes the refs that it moves to the disk.
//!
//! Objects are written and flushed by `loose.rs`.

use std::sync::OnceLock;

use super::StoreError;

/// Turns on fsync for whatever libgit2 writes in this process.
///
/// libgit2 has it as a process-wide option that git2 does not wrap
/// (`GIT_OPT_ENABLE_FSYNC_GITDIR`); it covers the files and the directories that name them.
pub(crate) fn enable_fsync() -> Result<(), StoreError> {
    static RESULT: OnceLock<i32> = OnceLock::new();
    let code = *RESULT.get_or_init(|| {
        libgit2_sys::init();
        let option = libgit2_sys::GIT_OPT_ENABLE_FSYNC_GITDIR as std::ffi::c_int;
        // SAFETY: the library is initialised above, and this option takes exactly one int. It is
        // set once, before the first write, as no other thread may touch options at that time.
        #[expect(unsafe_code, reason = "git2 has no wrapper for this option")]
        unsafe {
            libgit2_sys::git_libgit2_opts(option, 1 as std::ffi::c_int)
        }
    });
    if code == 0 {
        Ok(())
    } else {
        Err(StoreError::Damaged(format!("libgit2 refuses to turn on fsync (code {code})")))
    }
}
