//! Whether a process still lives.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A hold on one process that no later process with the same number can take over.
#[derive(Debug)]
pub(super) enum Life {
    /// Becomes readable when the process ends. One system call asks for all of them.
    Descriptor(OwnedFd),
    /// `/proc/<pid>/stat`, where the kernel has no process descriptors (before Linux 5.3) or the process is a copy. It cannot
    /// be read any more when the process is gone.
    Stat(File),
}

impl Life {
    pub(super) fn of(pid: u32, root: &Path) -> io::Result<Self> {
        let descriptor = (root == Path::new("/")).then(|| descriptor(pid)).flatten();
        match descriptor {
            Some(descriptor) => Ok(Self::Descriptor(descriptor)),
            None => File::open(root.join(format!("proc/{pid}/stat"))).map(Self::Stat),
        }
    }

    /// Whether each of these processes has ended.
    pub(super) fn ended<'a>(lives: impl Iterator<Item = &'a Self>) -> Vec<bool> {
        let lives: Vec<&Self> = lives.collect();
        let mut asked: Vec<PollFd<'_>> = lives.iter().filter_map(|life| life.question()).collect();
        // Interrupted, it says nothing, and the next time will do.
        let _ = poll(&mut asked, Some(&Timespec::default()));
        let mut answers = asked.iter().map(|asked| !asked.revents().is_empty());
        let ended = |life: &&Self| match life {
            Self::Descriptor(_) => answers.next().unwrap_or(false),
            Self::Stat(file) => is_over(file),
        };
        lives.iter().map(ended).collect()
    }

    fn question(&self) -> Option<PollFd<'_>> {
        match self {
            Self::Descriptor(descriptor) => Some(PollFd::new(descriptor, PollFlags::IN)),
            Self::Stat(_) => None,
        }
    }
}

fn descriptor(pid: u32) -> Option<OwnedFd> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

/// Gone, or ended and not yet waited for, which is the state `Z` behind the command's name. The name is in parentheses and may
/// hold anything.
fn is_over(stat: &File) -> bool {
    let mut text = [0; 512];
    let Ok(length) = stat.read_at(&mut text, 0) else {
        return true;
    };
    let name_ends = text[..length].iter().rposition(|&byte| byte == b')');
    let state = name_ends.and_then(|place| text.get(place + 2));
    matches!(state, None | Some(b'Z' | b'X' | b'x'))
}
