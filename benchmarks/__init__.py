"""Ratios against real peers, each in one run, each with a check that both got the same answer."""
