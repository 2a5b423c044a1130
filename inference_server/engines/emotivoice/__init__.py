"""EmotiVoice: text to speech in 2,014 voices, with a prompt for the manner.

An own implementation of the inference path of github.com/netease-youdao/EmotiVoice (commit bc2de8c), which loads the
published checkpoints by parameter name.
"""
