"""x"""
class EnginePool: open=None
