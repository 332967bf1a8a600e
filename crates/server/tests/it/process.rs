//! What the kernel knows of the process of a server.

use crate::server::Server;

/// A number of kilobytes in `/proc/<pid>/status`: `VmRSS` is what is resident now, `VmHWM` the most that ever was.
fn memory_kb(server: &Server, key: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':')).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

impl Server {
    /// Memory that is resident now.
    pub(crate) fn resident_kb(&self) -> u64 {
        memory_kb(self, "VmRSS")
    }

    pub(crate) fn resident_mb(&self) -> u64 {
        self.resident_kb() / 1024
    }

    /// The most memory that was ever resident.
    pub(crate) fn peak_kb(&self) -> u64 {
        memory_kb(self, "VmHWM")
    }

    pub(crate) fn peak_mb(&self) -> u64 {
        self.peak_kb() / 1024
    }

    /// The peak begins anew, at what is resident now.
    pub(crate) fn reset_peak_mb(&self) -> u64 {
        std::fs::write(format!("/proc/{}/clear_refs", self.pid()), "5").unwrap();
        self.peak_mb()
    }

    /// Threads that it has now.
    pub(crate) fn threads(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap().count()
    }

    /// Files and sockets that it has open.
    pub(crate) fn open_files(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }
}
