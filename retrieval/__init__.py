"""Finding text: chunks, embeddings, the FAISS index, the retriever, near-duplicates.

May import ``corpora`` only; knows nothing of language models, prompts, jobs or stores.
"""
