# SPDX-License-Identifier: MIT
"""The run of bench/compare, from the command line to the report."""
import datetime
import os
import sys

from . import arguments, cases, figures, install, machine, results, runtimes, table, timing, workers


def say(text):
    print(text, file=sys.stderr, flush=True)


def list_cases(chosen):
    rows = [["case", "group", "one thread", "two threads"]]
    for case in chosen:
        row = cases.row_of(case)
        rows.append([str(case), row.group,
                     *(", ".join("%s %g" % bar for bar in row.bars[n]) for n in (1, 2))])
    for line in table.aligned(rows):
        print(line)


def figure_of(options):
    return figures.MINIMUM if options.minima else figures.MEDIAN


def show(found, options):
    """Results as asked for: Markdown, or the table; and the report."""
    figure = figure_of(options)
    if found["cases"]:
        for line in (table.markdown_lines if options.readme else table.summary_lines)(found, figure):
            print(line)
    if found["planner"]:
        from . import planner
        for line in planner.lines(found["planner"]):
            print(line)
    if options.report:
        from . import report
        print("report: %s" % report.write(found, options.report, figure))


def merge(options):
    if options.report:
        enter_venv(options)
    found = results.merge([results.read(path) for path in options.merge])
    if options.json:
        results.write(found, options.json)
    show(found, options)
    return True


# ---- setting up --------------------------------------------------------------------------------------------

def enter_venv(options):
    """Go on inside the virtual environment, with what the driver itself needs."""
    venv = os.path.abspath(options.venv or os.path.join(options.folder, "venv"))
    install.enter(venv, say)
    why = install.packages(venv, {"the driver": (install.NEEDED, [])}, say)
    if why:
        raise install.InstallError("; ".join(why.values()))
    return venv


class Setup:
    """Everything that timing needs: folders, programs, runtimes, limits."""

    def __init__(self, options):
        self.options, self.folder = options, os.path.abspath(options.folder)
        self.venv = enter_venv(options)
        os.makedirs(os.path.join(self.folder, "logs"), exist_ok=True)
        self.build = os.path.abspath(options.build) if options.build else install.build(self.folder, say)
        self.bench = install.program(self.build, "bench", "lstmbench")
        from . import models
        self.store = models.Store(self.folder, install.program(self.build, "tools", "lstmconvert"))
        self.running, self.left_out = self._runtimes()
        for name, reason in self.left_out.items():
            say("%s LEFT OUT: %s" % (name, reason))

    def _runtimes(self):
        peers = runtimes.peers_build()
        wanted = self.options.peers
        sought = runtimes.wanted_packages(peers.PACKAGES, wanted, self.venv)
        missing = install.packages(self.venv, sought, say)
        found = runtimes.find(peers, self.venv, self.build, install.workers_folder(self.folder, self.build),
                              say)
        running, left_out = runtimes.take_part(found, wanted)
        for name, why in missing.items():
            left_out[name] = why
            running = [runtime for runtime in running if runtime["name"] != name]
        if not any(runtime["name"] == figures.OURS for runtime in running):
            why = left_out.get(figures.OURS)
            raise install.InstallError("the worker of lstmrun itself is missing: %s" % why)
        return running, left_out

    def start(self, runtime, cpus):
        threads = len(cpus)
        log = os.path.join(self.folder, "logs", "%s-%d.txt" % (runtime["name"], threads))
        return workers.Worker(runtime["name"], runtimes.command_of(runtime, threads, self.options.isa), cpus,
                              runtime.get("env"), log)

    def clocks(self):
        """A worker on each processor that is used, or none, which leaves cycles out."""
        program, why = install.clock_worker(install.workers_folder(self.folder, self.build))
        if not program:
            say("no clock: %s" % why)
            return []
        cpus = next(filter(None, map(machine.choose_cpus, sorted(self.options.threads, reverse=True))), [])
        found = [workers.Worker("clock", [program], [cpu]) for cpu in cpus]
        for clock in found:
            clock.greet()
        return found


# ---- timing ------------------------------------------------------------------------------------------------

def new_run(setup, options):
    now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    limits, why = None, "--no-limits"
    if not options.no_limits:
        limits, why = machine.measure_limits(setup.bench)
    if why:
        say("LIMITS NOT MEASURED, so no shares of them: %s" % why)
    return {"made": now, "options": {key: getattr(options, key) for key in ("rounds", "seconds", "isa")},
            "machine": machine.describe(), "build": machine.describe_build(install.SOURCE, setup.build),
            "limits": limits, "runtimes": {}, "left_out": dict(setup.left_out)}


def start_workers(setup, run):
    """One worker for each runtime and number of threads, all at once; one that does not start is left out."""
    started = {}

    def leave_out(threads, name, why):
        run["left_out"][name] = str(why)
        say("%s, threads: %d, LEFT OUT: %s" % (name, threads, why))
        started.pop((threads, name), None)

    for threads in setup.options.threads:
        cpus = machine.choose_cpus(threads)
        if cpus is None:
            say("%d THREADS LEFT OUT: there are not as many cores" % threads)
            continue
        for runtime in setup.running:
            try:
                started[threads, runtime["name"]] = setup.start(runtime, cpus)
            except workers.WorkerError as why:
                leave_out(threads, runtime["name"], why)
    for (threads, name), worker in list(started.items()):
        try:
            hello = worker.greet()
            run["runtimes"][name] = {key: hello.get(key, "") for key in ("version", "notes")}
        except workers.WorkerError as why:
            leave_out(threads, name, why)
    return started


def time_all(setup, chosen, found, keep):
    """Every case with every number of threads; `keep` is called after each."""
    import numpy
    from . import oracle
    options, store = setup.options, setup.store
    race = timing.Race(start_workers(setup, found["runs"][0]), store, setup.clocks(), say, options.fresh)
    for number, case in enumerate(chosen):
        say("%s (%d of %d)" % (case, number + 1, len(chosen)))
        expected = store.expected(case)
        records = race.run(case, lambda path: oracle.error_of(numpy.fromfile(path, numpy.float32), expected),
                           options.rounds, options.seconds)
        found["cases"] += [{**record, "isa": options.isa, "run": 0} for record in records]
        keep()
        for one in figures.judge_all({**found, "cases": found["cases"][-len(records):]}, figure_of(options)):
            for line in table.case_lines(one):
                print(line, flush=True)
    race.end()


def prepare(setup, chosen):
    """The files of all cases."""
    store = setup.store
    for number, case in enumerate(chosen):
        if not store.ready(case):
            say("making %s (%d of %d)" % (case, number + 1, len(chosen)))
        for threads in setup.options.threads:
            store.folder_of(case, threads)
    say("%d cases are ready in %s" % (len(chosen), store.folder))


def earlier_results(options):
    """What --resume goes on from."""
    if options.resume and not options.json:
        raise ValueError("--resume goes on with the results in a file: give it with --json")
    return results.read(options.json) if options.resume and os.path.exists(options.json) else results.empty()


def not_yet(chosen, earlier, options):
    """Cases that some number of threads is missing of."""
    if options.planner:
        done = {record["case"] for record in earlier["planner"] if record.get("isa") == options.isa}
        return [case for case in chosen if str(case).rstrip("s") not in done]
    done = {(record["case"], record["threads"]) for record in earlier["cases"]
            if record.get("isa") == options.isa}
    return [case for case in chosen if any((str(case), threads) not in done for threads in options.threads)]


def compare(options):
    chosen = cases.select(options.grid, options.cases)
    if options.list:
        list_cases(chosen)
        return True
    earlier, setup = earlier_results(options), Setup(options)
    chosen = not_yet(chosen, earlier, options)
    prepare(setup, chosen)
    if options.prepare:
        return True
    if not chosen:
        say("nothing is missing in %s" % options.json)
        show(earlier, options)
        return True
    found = {**results.empty(), "runs": [new_run(setup, options)]}

    def keep():
        if options.json:
            results.write(results.merge([earlier, found]), options.json)

    if options.planner:
        from . import planner
        planner.measure(setup, chosen, found["planner"], keep, say)
    else:
        time_all(setup, chosen, found, keep)
        print()
    show(results.merge([earlier, found]), options)
    return all(figures.OURS in record["runtimes"] for record in found["cases"])


def main():
    options = arguments.parser().parse_args()
    try:
        good = merge(options) if options.merge else compare(options)
    except BrokenPipeError:  # the reader of our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (install.InstallError, workers.WorkerError, OSError, ValueError, RuntimeError) as why:
        say("bench/compare: %s" % why)
        return 1
    except KeyboardInterrupt:
        say("stopped")
        return 130
    return 0 if good else 1
