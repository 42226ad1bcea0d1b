"""Comparing settings: a grid of runs with equal budgets, trained, evaluated and tested in pairs.

:mod:`trm.comparison.grid` reads the file, :mod:`trm.comparison.plan` decides the runs,
:mod:`trm.comparison.processes` runs them, :mod:`trm.comparison.report` has the results, and
:func:`trm.comparison.compare.compare` does all of it.
"""
