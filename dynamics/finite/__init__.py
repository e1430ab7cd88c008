"""Finite policies in training: one step, many steps, two levels, continuous time.

``step`` and its neighbours are public names of ``dynamics``. Their modules are in this folder, because a module
``dynamics.step`` would replace the function of that name as soon as anything imported it.
"""
