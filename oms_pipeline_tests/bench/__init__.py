"""How fast the pipeline is, side by side with its limits and with other tools: `python -m oms_pipeline_tests.bench`.

Says how much and beside it what was aimed at; never passes or fails. Numbers are for the machine and the moment they
were taken on: compare ratios, never seconds of two runs.
"""
