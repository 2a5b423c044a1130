"""Text to phonemes: Chinese, English and both mixed, without anything fetched at run time.

The rules, quirks included, are those the published model was trained with (github.com/netease-youdao/EmotiVoice,
commit bc2de8c: frontend.py, frontend_cn.py, frontend_en.py), so that it hears what it knows.
"""
