//! Where the control groups of a container are.

use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use super::Obstacle;
use super::parse::{lines, split_once, words};
use super::source::read_once;

/// The control group of one container: a directory, or one for each controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Group {
    V2(PathBuf),
    /// A controller that the kernel lacks is `None`.
    V1 {
        cpu: PathBuf,
        memory: Option<PathBuf>,
        block: Option<PathBuf>,
        freezer: Option<PathBuf>,
    },
}

impl Group {
    /// The group of the container `id`, whose process is `pid`.
    ///
    /// The group is where the process says, whoever made it and by whatever naming. It is the container's if one of the
    /// names on its path carries the id, which all engines see to, and it ends there: a container may have sorted its
    /// processes into groups below its own. Any other process, such as one that has the number by chance because the engine
    /// is elsewhere, fails this test.
    pub(super) fn of(id: &str, pid: u32, root: &Path, mounts: &Mounts) -> Result<Self, Obstacle> {
        let membership = root.join(format!("proc/{pid}/cgroup"));
        let text = read_once(&membership).map_err(|error| Obstacle::of_process(&error))?;
        let groups = Membership { text: &text, id };
        let Some(cpu) = groups.controller(b"cpuacct")? else {
            let path = groups.unified()?;
            return mounts.v2(&path).map(Self::V2).ok_or(Obstacle::NotMounted);
        };
        let v1 = |name: &[u8]| {
            let path = groups.controller(name)?;
            path.map(|path| mounts.v1(name, &path).ok_or(Obstacle::NotMounted))
                .transpose()
        };
        Ok(Self::V1 {
            cpu: mounts.v1(b"cpuacct", &cpu).ok_or(Obstacle::NotMounted)?,
            memory: v1(b"memory")?,
            block: v1(b"blkio")?,
            freezer: v1(b"freezer")?,
        })
    }
}

/// Lines of `number:controllers:path`, with no controllers for cgroup v2.
#[derive(Clone, Copy)]
struct Membership<'a> {
    text: &'a [u8],
    id: &'a str,
}

impl<'a> Membership<'a> {
    fn entries(self) -> impl Iterator<Item = (&'a [u8], &'a Path)> {
        lines(self.text).filter_map(|line| {
            let (controllers, path) = split_once(split_once(line, b':')?.1, b':')?;
            Some((controllers, Path::new(OsStr::from_bytes(path))))
        })
    }

    /// The group under a controller of cgroup v1; `None` where the kernel has no such controller.
    fn controller(self, name: &[u8]) -> Result<Option<PathBuf>, Obstacle> {
        let mut entries = self.entries();
        let entry = entries.find(|(controllers, _)| names(controllers).any(|each| each == name));
        entry.map(|(_, path)| self.containers(path)).transpose()
    }

    fn unified(self) -> Result<PathBuf, Obstacle> {
        let entry = self.entries().find(|(controllers, _)| controllers.is_empty());
        self.containers(entry.ok_or(Obstacle::NoGroup)?.1)
    }

    /// The path as far as the first name that carries the container's id.
    fn containers(self, path: &Path) -> Result<PathBuf, Obstacle> {
        let id = self.id.as_bytes();
        let carries = |name: &OsStr| name.as_bytes().windows(id.len()).any(|part| part == id);
        let mut names = path.components();
        let place = names.position(|name| carries(name.as_os_str()));
        let below = place.ok_or(Obstacle::NoGroup)?;
        Ok(path.components().take(below + 1).collect())
    }
}

fn names(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',')
}

/// Where control groups are mounted, as `/proc/self/mountinfo` says.
#[derive(Debug, Default)]
pub(super) struct Mounts(Vec<Mount>);

#[derive(Debug)]
struct Mount {
    /// The group that is seen at `point`.
    group: PathBuf,
    point: PathBuf,
    /// Controllers and more, for cgroup v1; `None` for v2.
    options: Option<Vec<u8>>,
}

impl Mounts {
    pub(super) fn read(root: &Path) -> Self {
        let text = read_once(&root.join("proc/self/mountinfo")).unwrap_or_default();
        Self(lines(&text).filter_map(|line| mount(line, root)).collect())
    }

    fn v1(&self, controller: &[u8], path: &Path) -> Option<PathBuf> {
        let has = |options: &[u8]| names(options).any(|name| name == controller);
        self.directory(path, |mount| mount.options.as_deref().is_some_and(has))
    }

    fn v2(&self, path: &Path) -> Option<PathBuf> {
        self.directory(path, |mount| mount.options.is_none())
    }

    /// The newest mount first: it hides what was mounted at the same place before.
    fn directory(&self, path: &Path, is_right: impl Fn(&Mount) -> bool) -> Option<PathBuf> {
        let right = self.0.iter().rev().filter(|mount| is_right(mount));
        right
            .filter_map(|mount| Some(mount.point.join(path.strip_prefix(&mount.group).ok()?)))
            .find(|directory| directory.is_dir())
    }
}

/// `36 31 0:33 /group /point options [tags] - type source options`.
fn mount(line: &[u8], root: &Path) -> Option<Mount> {
    let mut words = words(line);
    let (group, point) = (words.nth(3)?, words.next()?);
    let mut rest = words.skip_while(|word| word != b"-").skip(1);
    let options = match rest.next()? {
        b"cgroup2" => None,
        b"cgroup" => Some(rest.nth(1)?.to_vec()),
        _ => return None,
    };
    let point = unescaped(point);
    Some(Mount {
        group: unescaped(group),
        point: root.join(point.strip_prefix("/").ok()?),
        options,
    })
}

/// Spaces, tabs, line ends and backslashes are written as a backslash and three octal digits.
fn unescaped(text: &[u8]) -> PathBuf {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, behind)) = rest.split_first() {
        let escaped = (first == b'\\').then(|| octal(behind)).flatten();
        plain.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &behind[3..] } else { behind };
    }
    PathBuf::from(std::ffi::OsString::from_vec(plain))
}

fn octal(text: &[u8]) -> Option<u8> {
    let digits = std::str::from_utf8(text.get(..3)?).ok()?;
    u8::from_str_radix(digits, 8).ok()
}
