"""Studies of small models trained here: each a command, a table, and an order with intervals.

python -m workbench.language.studies.gates     # forget gates: none, fixed, scalar, GLA
python -m workbench.language.studies.recall    # what each mixer can still look up
python -m workbench.language.studies.micro     # every mixer at 30 k parameters
"""
