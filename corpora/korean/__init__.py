"""The Korean toolkit: morphemes, ROUGE, script measures, speech level. The only home of Kiwi and rouge-score.

Knows text and nothing else. Kiwi costs 1.4 s and 300 MB, so it is loaded once a process, at its first use.
"""
