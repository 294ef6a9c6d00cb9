FRISM.receive('miniature/tables/rank_blocks.0','[]');
