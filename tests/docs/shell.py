"""One bash for all statements of a document, with stand-ins for programs that a document calls as if it ran elsewhere.

It owns the process, what a statement printed and its exit status. It must not know what statements are for.
"""
import os
import shutil
import signal
import subprocess
import threading

from servers import STEP_TIMEOUT_S

# An answer of 400 or above is a failure, and the certificate of the test is trusted.
CURL = '#!/bin/sh\nexec {curl} --fail-with-body -sS --cacert {work}/etc/dede/cert.pem "$@"\n'
# All hosts are this machine, all of their directories are below the one of the test.
SCP = '#!/bin/bash\nexec cp "${@#[a-z]*:}"\n'
# The server that the document started; on this machine there may be others.
PIDOF = "#!/bin/sh\ncat {work}/served.pid\n"


def write_stand_ins(work, binary):
    directory = work / "bin"
    directory.mkdir()
    scripts = {"curl": CURL.format(curl=shutil.which("curl"), work=work), "scp": SCP, "pidof": PIDOF.format(work=work)}
    for name, text in scripts.items():
        (directory / name).write_text(text)
        (directory / name).chmod(0o755)
    (directory / "dede").symlink_to(binary)
    return directory


class Shell:
    def __init__(self, work, environment):
        self.statement, self.mark = work / "statement.sh", f"--- status of {os.urandom(8).hex()}"
        self.process = subprocess.Popen(["bash"], cwd=work / "here", env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)

    def run(self, text):
        """Exit status, and what was printed. Variables, the directory and umask stay for the next one. Without a status, which is one
        that did not end in time or ended the shell, there is no next one."""
        self.statement.write_text(text + "\n")
        timer = threading.Timer(STEP_TIMEOUT_S, self.close)
        timer.start()
        output = []
        try:
            self.process.stdin.write(f"source {self.statement} </dev/null; printf '\\n%s %s\\n' '{self.mark}' $?\n")
            self.process.stdin.flush()
            for line in self.process.stdout:
                if line.startswith(self.mark):
                    return int(line.rsplit(" ", 1)[1]), "".join(output).strip()
                output.append(line)
        except BrokenPipeError:
            pass
        finally:
            timer.cancel()
        return None, "".join(output).strip()

    def close(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
