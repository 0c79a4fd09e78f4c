"""The supervisor: the small program that stands between this process and the code that it runs.

It is started anew for every run, by the bare interpreter, and therefore imports nothing of the package around it. It
confines the code, lets it begin, and sees to its end: when the code has ended, when its time is up, when it is told
to, or when the process that started it is gone. Then it kills whatever the code has left behind, removes the run's
directory, reports, and ends.
"""
