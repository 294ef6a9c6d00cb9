FRISM.receive('studies','["miniature"]');
