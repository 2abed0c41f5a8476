# SPDX-License-Identifier: MIT
"""Worker processes: one for each runtime and number of threads, spoken to in lines.

A worker reads a command a line and answers a line of JSON ({"error": "..."} where it failed); all else that
it says goes to a log. At its start it says by itself which runtime and version it is.

    open FOLDER   loads a case         {"open_ns", "rss_kb"}
    check FILE    runs all calls of it from zero states, writes their outputs, f32      {}
    time NS       samples for so long  {"calls" a sample, "ns" [of one call, for each sample],
                                        "cpu_ns", "wall_ns"}
    close         frees the case       {}
"""
import glob
import json
import os
import selectors
import subprocess

ANSWER_SECONDS = 600


class WorkerError(Exception):
    pass


class Worker:
    def __init__(self, name, command, cpus, env=None, log="/dev/null"):
        """Started, but not yet heard: call greet before anything else."""
        self.name, self.command, self.cpus, self.env, self.log = name, command, cpus, env or {}, log
        self.hello = {}
        self._start()

    def _start(self):
        self.rest = b""
        with open(self.log, "wb") as errors:
            try:
                self.process = subprocess.Popen(
                    self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, bufsize=0,
                    env={**os.environ, **self.env}, preexec_fn=lambda: os.sched_setaffinity(0, self.cpus))
            except OSError as why:
                raise WorkerError("%s: %s" % (self.name, why)) from None

    def greet(self):
        """Which runtime it is; apart from the start, so that many can start at once."""
        self.hello = self.hear("its start")
        return self.hello

    def revive(self):
        """Started anew where it has ended, so that a case that kills it does not cost the next ones."""
        if self.process.poll() is not None:
            self.process.stdin.close()
            self.process.stdout.close()
            self._start()
            self.greet()

    def _tail(self):
        with open(self.log, errors="replace") as file:
            return " ".join(file.read().split())[-300:]

    def _read_line(self, asked):
        """A line of what it says; gives up on it when it ends or takes too long."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self.rest:
                if not selector.select(ANSWER_SECONDS):
                    self.kill()
                    raise WorkerError("%s: no answer to %s for %d s" % (self.name, asked, ANSWER_SECONDS))
                part = os.read(self.process.stdout.fileno(), 1 << 20)
                if not part:
                    status = self.process.wait()
                    raise WorkerError("%s: ended (status %d) at %s: %s"
                                      % (self.name, status, asked, self._tail()))
                self.rest += part
        line, self.rest = self.rest.split(b"\n", 1)
        return line

    def hear(self, asked):
        """What it answers to what it was told."""
        line = self._read_line(asked)
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise WorkerError("%s: answer to %s is no line of JSON: %r" % (self.name, asked, line[:200]))
        if "error" in answer:
            raise WorkerError("%s: %s: %s" % (self.name, asked, answer["error"]))
        return answer

    def tell(self, command):
        """Without waiting for the answer, which hear() gives."""
        try:
            self.process.stdin.write(command.encode() + b"\n")
        except BrokenPipeError:
            raise WorkerError("%s: has ended: %s" % (self.name, self._tail())) from None

    def ask(self, command):
        self.tell(command)
        return self.hear(command)

    def rss_kb(self):
        """Its memory, or None."""
        try:
            with open("/proc/%d/status" % self.process.pid, encoding="ascii", errors="replace") as file:
                return next((int(line.split()[1]) for line in file if line.startswith("VmRSS:")), None)
        except OSError:
            return None

    def restart(self):
        self.end()
        self._start()
        self.greet()

    def alive(self):
        return self.process.poll() is None

    def awake(self):
        """True while any of its threads runs: some spin for a while after a call."""
        for path in glob.glob("/proc/%d/task/*/stat" % self.process.pid):
            try:
                with open(path, "rb") as file:
                    if file.read().rsplit(b")", 1)[1].split()[0] == b"R":
                        return True
            except OSError:
                continue
        return False

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        """Ends by itself at the end of its input."""
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()
        self.process.stdout.close()
